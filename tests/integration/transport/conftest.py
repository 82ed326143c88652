"""A router and a provider that speak mutual TLS, and those who call them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagegate.client.transport import TransportFields
from imagegate.router.config import CallerConfig
from imagegate.router.hops import Hops
from imagegate.runtime.access import Role
from imagegate.runtime.bearer import hashed
from imagegate.runtime.callers import known_by_name
from imagegate.runtime.guard import Guard
from imagegate.runtime.settings import ProcessSettings
from imagegate.runtime.transport import TransportSettings
from imagegate.testing import ScriptedProvider
from imagegate.testing.certificates import Authority, Issued
from imagegate.testing.serving import SETTINGS, ServedProvider, ServedRouter, serving_provider, serving_router

EDGE = "spiffe://imagegate/edge"
KEY = "ig_batch_EXAMPLE"


@dataclass(slots=True)
class Secured:
    """The router, the provider, the authority behind all certificates, and a folder for more."""

    router: ServedRouter
    provider: ServedProvider
    authority: Authority
    folder: Path

    @property
    def ca(self) -> Path:
        """Whom everybody believes."""
        return self.folder / "ca.crt"

    def showing(self, issued: Issued, name: str) -> TransportFields:
        """How to call as whoever has this certificate."""
        cert, key = issued.write(self.folder, name)
        return TransportFields(ca=self.ca, cert=cert, key=key, token="")


def process_of(folder: Path, issued: Issued, name: str) -> ProcessSettings:
    """The settings of a process with this certificate, which asks everybody for one."""
    cert, key = issued.write(folder, name)
    tls = {"tls_cert_file": cert, "tls_key_file": key, "tls_client_ca_file": folder / "ca.crt"}
    return SETTINGS.model_copy(update=tls)


def hops_of(process: ProcessSettings) -> Hops:
    """The router's way to its providers, with the certificate that it shows to callers."""
    own = {"cert": process.tls_cert_file, "key": process.tls_key_file}
    return Hops(TransportSettings(ca=process.tls_client_ca_file, **own))


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    """Callers: `edge` and `olga`, an operator, by their certificates, and `batch` by a key; the provider lets in the
    router only.
    """
    authority = Authority()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    callers = {
        "edge": CallerConfig(identities=[EDGE]),
        "olga": CallerConfig(role=Role.OPERATOR),
        "batch": CallerConfig(keys=[hashed(KEY)]),
    }
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(
            serving_provider(
                ScriptedProvider("a"),
                process=process_of(tmp_path, authority.issue("provider-a"), "provider"),
                guard=Guard(lambda: known_by_name(["router.imagegate"]), asks_for_certificates=True),
            )
        )
        own = process_of(tmp_path, authority.issue("router", dns=["localhost", "router.imagegate"]), "router")
        router = await stack.enter_async_context(
            serving_router(
                {"a": provider.target}, {"default": ["a/model"]}, callers=callers, process=own, hops=hops_of(own)
            )
        )
        yield Secured(router, provider, authority, tmp_path)
