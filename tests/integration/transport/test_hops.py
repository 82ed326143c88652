"""Pictures over mutual TLS, hop by hop: by the SDK, the router, a provider, the edge and the command line."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from imagegate.client import AsyncAdminClient, AsyncClient, Client, GenerationError, TransportFields
from imagegate.client.cli import run
from imagegate.edge.routers import Routers
from imagegate.router.hops import Hops
from imagegate.runtime.bearer import hashed
from imagegate.runtime.errors import Reason
from imagegate.runtime.settings import SettingsError
from imagegate.runtime.transport import Transport, TransportSettings
from imagegate.testing import ScriptedProvider
from imagegate.testing.certificates import Authority
from imagegate.testing.fronted import ALICE, OPERATOR, serving_edge
from imagegate.testing.serving import serving_router

from .conftest import EDGE, KEY, Secured, hops_of, process_of


def edge_of(secured: Secured) -> TransportFields:
    """How the edge calls."""
    return secured.showing(secured.authority.issue("edge", dns=(), uri=EDGE), "edge")


async def test_a_picture_goes_over_mutual_tls_on_every_hop(secured: Secured) -> None:
    """S13: the caller is known by its certificate at the router, and the router at the provider."""
    async with AsyncClient(secured.router.target, **edge_of(secured)) as client:
        result = await client.generate("a fox")
    assert result.provider == "a"


async def test_a_key_is_as_good_as_a_name(secured: Secured) -> None:
    """Whoever shows a certificate that nobody knows, and a key that is known, is let in."""
    fields = secured.showing(secured.authority.issue("somebody", dns=()), "somebody")
    async with AsyncClient(secured.router.target, **{**fields, "token": KEY}) as client:
        assert (await client.generate("a fox")).provider == "a"
    async with AsyncClient(secured.router.target, **{**fields, "token": "ig_wrong_EXAMPLE"}) as client:
        with pytest.raises(GenerationError) as refused:
            await client.generate("a fox")
    assert refused.value.reason is Reason.UNAUTHENTICATED
    assert "IMAGEGATE_TOKEN" in refused.value.message
    assert "ig_wrong" not in refused.value.message


async def test_the_blocking_client_takes_the_same(secured: Secured) -> None:
    """`Client` is the same without `await`."""
    fields = edge_of(secured)

    def ask() -> str:
        with Client(secured.router.target, **fields) as client:
            return client.generate("a fox").provider

    assert await asyncio.to_thread(ask) == "a"


async def test_the_name_in_the_certificate_counts(secured: Secured) -> None:
    """A certificate of the right authority for somebody else is not believed, unless their name was expected."""
    target = secured.provider.target
    fields = secured.showing(secured.authority.issue("router.imagegate", dns=()), "router-again")
    async with AsyncClient(target, **{**fields, "server_name": "somebody.else"}) as client:
        with pytest.raises(GenerationError, match="shows no certificate that is believed here"):
            await client.models()
    async with AsyncClient(target, **{**fields, "server_name": "localhost"}) as client:
        assert (await client.models()).models


async def test_who_calls_a_tls_port_in_the_clear_is_told_what_to_try(secured: Secured) -> None:
    """The words of a failed handshake say nothing to a person."""
    async with AsyncClient(secured.router.target, tls=False, token="") as client:
        with pytest.raises(GenerationError, match="perhaps it wants TLS") as refused:
            await client.models()
    assert refused.value.reason is Reason.UNREACHABLE


async def test_a_router_that_a_provider_does_not_let_in_goes_on_to_the_next(secured: Secured, tmp_path: Path) -> None:
    """Whoever asked is not told of keys that are not theirs: to them the provider cannot be reached."""
    own = process_of(tmp_path, secured.authority.issue("another-router"), "another")
    targets = {"a": secured.provider.target}
    routes = {"default": ["a/model"]}
    async with (
        serving_router(targets, routes, hops=hops_of(own), wait_for_catalogues=False) as router,
        AsyncClient(router.target, tls=False, token="") as client,
    ):
        with pytest.raises(GenerationError) as failed:
            await client.generate("a fox")
    assert failed.value.reason is Reason.UNREACHABLE
    assert "does not let this router in" in failed.value.message
    assert "IMAGEGATE_ALLOWED_CALLERS" in failed.value.message


async def test_a_provider_whose_certificate_is_not_believed_is_not_asked(secured: Secured, tmp_path: Path) -> None:
    """F3: nothing is sent to whoever shows a certificate of another authority."""
    stranger = Authority("another authority")
    (tmp_path / "other.crt").write_bytes(stranger.pem)
    hops = Hops(TransportSettings(ca=tmp_path / "other.crt"))
    targets = {"a": secured.provider.target}
    async with (
        serving_router(targets, {"default": ["a/model"]}, hops=hops, wait_for_catalogues=False) as router,
        AsyncClient(router.target, tls=False, token="") as client,
    ):
        with pytest.raises(GenerationError, match="shows a certificate that is not believed here"):
            await client.generate("a fox")
    provider = secured.provider.provider
    assert isinstance(provider, ScriptedProvider)
    assert not provider.orders


async def test_the_edge_comes_as_itself_and_passes_no_key_on(secured: Secured, tmp_path: Path) -> None:
    """A user's key ends at the edge: the router knows the edge by its certificate, and an operator's decision too."""
    as_olga = secured.showing(secured.authority.issue("olga", dns=()), "olga")
    transport: TransportFields = {**as_olga, "server_name": "localhost"}
    target = secured.router.target
    admin = f"127.0.0.1:{secured.router.admin_port}"
    routers = Routers.behind(target, admin, transport)
    async with serving_edge(target, tmp_path / "data", routers=routers, transport=transport) as edge:
        async with edge.session(ALICE) as session, session.post("/api/generations", json={"prompt": "a fox"}) as answer:
            assert answer.status == 200, await answer.text()
        async with edge.session(OPERATOR) as session:
            body = {"provider": "a", "mode": "OPEN", "minutes": 1, "reason": "a test"}
            async with session.post("/api/breakers", json=body) as answer:
                assert answer.status == 200, await answer.text()
    assert ALICE not in json.dumps([str(event) for event in secured.router.events])


async def test_operators_reach_the_admin_port(secured: Secured) -> None:
    """S14: an operator's certificate opens the admin port, a caller's does not."""
    admin = f"127.0.0.1:{secured.router.admin_port}"
    olga = secured.showing(secured.authority.issue("olga", dns=()), "olga")
    async with AsyncAdminClient(admin, **olga) as client:
        shown = (await client.get_config()).yaml
        assert "routes" in shown
        assert hashed(KEY) not in shown
        assert hashed(KEY)[:8] in shown
    async with AsyncAdminClient(admin, **edge_of(secured)) as client:
        with pytest.raises(GenerationError) as refused:
            await client.get_config()
    assert refused.value.reason is Reason.NOT_ALLOWED


async def test_the_command_line_takes_files_and_a_token(
    secured: Secured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--ca --cert --key` and IMAGEGATE_TOKEN, on commands that ask the router and on those that ask its admin port."""
    cert, key = secured.authority.issue("somebody", dns=()).write(secured.folder, "somebody")
    files = ["--tls", "--ca", str(secured.ca), "--cert", str(cert), "--key", str(key)]
    router, admin = ["--router", secured.router.target], ["--admin", f"127.0.0.1:{secured.router.admin_port}"]

    async def imagegate(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = await asyncio.to_thread(run, arguments)
        return code, [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]

    code, (told,) = await imagegate("models", "--json", *router, *files)
    assert (code, json.loads(told)["error"]["reason"]) == (1, "UNAUTHENTICATED")
    monkeypatch.setenv("IMAGEGATE_TOKEN", KEY)
    assert (await imagegate("models", "--json", *router, *files))[0] == 0
    code, (told,) = await imagegate("breaker", "list", "--json", *admin, *files)
    assert (code, json.loads(told)["error"]["reason"]) == (1, "NOT_ALLOWED")
    assert (await imagegate("models", "--json", *router, "--ca", str(key)))[0] == 2
    monkeypatch.setenv("IMAGEGATE_TLS_CA_FILE", str(secured.ca))
    monkeypatch.setenv("IMAGEGATE_TLS_CERT_FILE", str(cert))
    monkeypatch.setenv("IMAGEGATE_TLS_KEY_FILE", str(key))
    assert (await imagegate("models", "--json", *router))[0] == 0


async def test_certificates_are_shown_in_the_metrics(secured: Secured) -> None:
    """F3: when the own certificate expires, and whether what is in use is what the files hold."""
    shown = generate_latest(secured.router.metrics.registry).decode()
    assert 'imagegate_tls_last_reload_ok{side="server"} 1.0' in shown
    assert 'imagegate_tls_certificate_expiry_timestamp_seconds{side="server"} 1.' in shown


def test_half_a_pair_is_refused() -> None:
    """A certificate without its key is a mistake, not a call in the clear."""
    with pytest.raises(SettingsError):
        AsyncClient("127.0.0.1:1", cert="/somewhere")
    with pytest.raises(SettingsError):
        Transport.read({"IMAGEGATE_TLS_CA_FILE": "/nowhere"})
