"""`breaker …` against a scripted admin port on a real socket."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from imagegate.v1 import router_pb2

UNTIL = "until 2027-01-15 08:00:00 UTC"
NOBODY = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _the_ports_own_log() -> Iterator[None]:
    """What the admin port logs in this process is nothing that a command prints."""
    with capture_logs():
        yield


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("open", router_pb2.OVERRIDE_MODE_OPEN),
        ("close", router_pb2.OVERRIDE_MODE_CLOSED),
        ("observe", router_pb2.OVERRIDE_MODE_OBSERVE_ONLY),
    ],
)
async def test_a_decision_says_what_for_how_long_why_and_who(
    admin: Any, imagegate: Any, capsys: pytest.CaptureFixture[str], word: str, mode: Any
) -> None:
    """R8: each of the three words is a mode; all that is typed arrives."""
    typed = ("--for", "90s", "--reason", "bad pictures", "--actor", "alice", "--admin", admin.address)
    assert await imagegate("breaker", word, "fal/flux-dev", *typed) == 0
    sent = admin.decided["fal", "flux-dev"]
    assert (sent.mode, sent.duration.seconds, sent.reason, sent.actor) == (mode, 90, "bad pictures", "alice")
    name = router_pb2.OverrideMode.Name(mode).removeprefix("OVERRIDE_MODE_")
    assert capsys.readouterr().out == f"{admin.address}: fal/flux-dev is {name} {UNTIL}: bad pictures (alice)\n"


async def test_what_is_not_typed_has_a_default(
    admin: Any, imagegate: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An hour, by $USER; the port may come from the environment."""
    monkeypatch.setenv("USER", "bob")
    monkeypatch.setenv("IMAGEGATE_ADMIN", admin.address)
    assert await imagegate("breaker", "open", "fal", "--json") == 0
    sent = admin.decided["fal", ""]
    assert (sent.duration.seconds, sent.actor) == (3600, "bob")
    assert 1 <= len(sent.reason) <= 200
    (replica,) = json.loads(capsys.readouterr().out)["replicas"]
    assert replica["address"] == admin.address
    assert (replica["override"]["provider"], replica["override"]["mode"]) == ("fal", "OPEN")
    monkeypatch.delenv("USER")
    assert await imagegate("breaker", "open", "fal") == 0
    assert admin.decided["fal", ""].actor.startswith("uid ")


async def test_decisions_are_listed_and_taken_back(
    admin: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is in force can be seen; taking back what is not there is told with exit code 2."""
    at = ("--admin", admin.address)
    await imagegate("breaker", "open", "fal", "--actor", "alice", "--reason", "calm", *at)
    capsys.readouterr()
    assert await imagegate("breaker", "list", *at) == 0
    _, row = capsys.readouterr().out.splitlines()
    assert row.split() == [admin.address, "fal", "OPEN", *UNTIL.split()[1:], "alice", "calm"]
    assert await imagegate("breaker", "list", "--json", *at) == 0
    (replica,) = json.loads(capsys.readouterr().out)["replicas"]
    assert replica["overrides"][0]["actor"] == "alice"
    assert await imagegate("breaker", "clear", "fal", *at) == 0
    assert capsys.readouterr().out == f"{admin.address}: fal is left to its breaker\n"
    assert await imagegate("breaker", "clear", "fal", *at) == 2
    assert "nothing is decided about it" in capsys.readouterr().err
    assert await imagegate("breaker", "list", *at) == 0
    assert "nothing is decided" in capsys.readouterr().out


async def test_with_all_every_replica_is_told_and_reported(
    admin: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Address by address; 1 where one of them could not be told."""
    assert await imagegate("breaker", "open", "fal", "--all", "--admin", admin.address) == 0
    assert capsys.readouterr().out.startswith(f"{admin.address}: fal is OPEN")
    assert await imagegate("breaker", "open", "fal", "--all", "--admin", NOBODY) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"imagegate: {NOBODY}: no router's admin port answers")
    assert await imagegate("breaker", "list", "--all", "--json", "--admin", NOBODY) == 1
    (replica,) = json.loads(capsys.readouterr().out)["replicas"]
    assert (replica["address"], replica["error"]["reason"]) == (NOBODY, "UNREACHABLE")
    assert await imagegate("breaker", "clear", "fal", "--all", "--json", "--admin", admin.address) == 0
    assert json.loads(capsys.readouterr().out) == {"replicas": [{"address": admin.address}]}


async def test_a_name_that_does_not_resolve_is_told(imagegate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """No name is no replica, not success; time may mend it."""
    assert await imagegate("breaker", "list", "--all", "--admin", "no-such-host.invalid") == 75
    assert "no-such-host.invalid cannot be resolved" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["open", "fal", "--for", "an hour"], "1h"),
        (["open", "fal", "--for", "8d"], "7d"),
        (["close", "fal", "--for", "0s"], "--for"),
        (["open", "fal", "--admin", "http://a:1"], "HOST:PORT"),
        (["open", "fal", "--router", "unix:/run/router"], "--admin"),
        (["open"], "PROVIDER"),
        (["shut", "fal"], "shut"),
    ],
)
async def test_what_is_typed_wrong_is_one_sentence(
    imagegate: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    """Exit code 2 before anybody is asked."""
    assert await imagegate("breaker", *arguments) == 2
    err = capsys.readouterr().err
    assert word in err
    assert err.count("\n") == 1


async def test_a_provider_that_is_not_known_is_told_in_the_routers_words(
    admin: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """NOT_FOUND with the names that there are; exit code 2."""
    assert await imagegate("breaker", "open", "nobody", "--admin", admin.address) == 2
    assert "one of fal" in capsys.readouterr().err


async def test_no_admin_port_is_told_with_its_number(imagegate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Time may mend it: 75."""
    assert await imagegate("breaker", "list", "--admin", NOBODY) == 75
    assert "50052" in capsys.readouterr().err
