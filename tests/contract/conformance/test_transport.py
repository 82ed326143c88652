"""The kit against a provider that lets in only whom it knows."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagegate.client.transport import TransportFields, transport_of
from imagegate.conformance.kit import CannotTestError, Options, run
from imagegate.providers.sketch.provider import create
from imagegate.runtime.bearer import hashed
from imagegate.runtime.callers import Caller, Callers, known_by_name
from imagegate.runtime.guard import Guard
from imagegate.testing import serving_provider
from imagegate.testing.certificates import Authority
from imagegate.testing.serving import SETTINGS

SECONDS = 60.0
NOBODY = "http://127.0.0.1:1"
KEY = "ig_operator_EXAMPLE"


@dataclass(slots=True)
class House:
    """A provider over mutual TLS, which lets in `olga`."""

    folder: Path
    authority: Authority
    address: str = ""

    def way_of(self, name: str) -> TransportFields:
        """The way of whoever has a certificate with this name; empty for somebody without one."""
        believed = TransportFields(ca=self.folder / "ca.crt", token="")
        if not name:
            return believed
        cert, key = self.authority.issue(name).write(self.folder, name)
        return TransportFields(**believed, cert=cert, key=key)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, Authority())
    (tmp_path / "ca.crt").write_bytes(house.authority.pem)
    cert, key = house.authority.issue("provider").write(tmp_path, "provider")
    files = {"tls_cert_file": cert, "tls_key_file": key, "tls_client_ca_file": tmp_path / "ca.crt"}
    process = SETTINGS.model_copy(update=files)
    guard = Guard(lambda: known_by_name(["olga"]), asks_for_certificates=True)
    async with serving_provider(create({}, lambda _: None), process=process, guard=guard) as served:
        house.address = served.target
        yield house


async def test_a_provider_is_tried_over_mutual_tls(house: House) -> None:
    """S13: `--tls --ca --cert --key` mean to `imagegate conformance` what they mean to every other command."""
    way = house.way_of("olga")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "imagegate.client", "conformance", house.address, "--json", "--tls"),
        *(f"--{name}={way[name]}" for name in ("ca", "cert", "key")),
        stdout=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("IMAGEGATE_")},
    )
    output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    told = json.loads(output)
    assert (process.returncode, told["provider"], told["failed"]) == (0, "sketch", 0), told


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("eve", "does not let us in: this certificate's names are not known here"),
        ("", "perhaps it wants TLS, or a certificate"),
        ("in the clear", "perhaps it wants TLS, or a certificate"),
        ("without the authority", "shows no certificate that is believed here"),
    ],
)
async def test_who_is_not_let_in_is_told_why(house: House, name: str, word: str) -> None:
    """S13: it is a sentence with the remedy, and no row that blames the provider."""
    ways = {"in the clear": TransportFields(), "without the authority": TransportFields(tls=True)}
    way = ways[name] if name in ways else house.way_of(name)
    options = Options(house.address, usual_sandbox=NOBODY, timeout=2, transport=transport_of(way, {}))
    with pytest.raises(CannotTestError, match=word):
        await run(options)


async def test_a_key_goes_along() -> None:
    """S13: with IMAGEGATE_TOKEN's key a provider that wants one is tried; without it nothing can be said of it."""
    guard = Guard(lambda: Callers(by_hash={hashed(KEY): Caller("olga")}))
    way = transport_of({}, {"IMAGEGATE_TOKEN": KEY})
    async with serving_provider(create({}, lambda _: None), guard=guard) as served:
        outcome = await run(Options(served.target, usual_sandbox=NOBODY, transport=way))
        assert (outcome.exit_code, outcome.provider) == (0, "sketch"), outcome.rows
        with pytest.raises(CannotTestError, match="does not let us in: a key or a certificate is needed"):
            await run(Options(served.target, usual_sandbox=NOBODY))


async def test_who_never_answers_is_nobody() -> None:
    """S13: a port that takes the connection and says nothing is named at once, before any duty is tried."""
    connections = list[asyncio.StreamWriter]()
    async with await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(CannotTestError, match=f"127.0.0.1:{port}"):
            await run(Options(f"127.0.0.1:{port}", usual_sandbox=NOBODY, timeout=0.5))
        for writer in connections:
            writer.close()
