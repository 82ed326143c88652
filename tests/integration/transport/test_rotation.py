"""Certificates, authorities and keys are renewed under load, and no call fails of it."""

import asyncio
from dataclasses import dataclass, field

import pytest

from imagegate.client import AsyncClient, GenerationError
from imagegate.router.config import CallerConfig
from imagegate.runtime.bearer import hashed, new_key
from imagegate.runtime.errors import Reason
from imagegate.testing.certificates import Authority, renew

from .conftest import KEY, Secured

WORKERS = 8
PATIENCE = 60.0  # seconds for a step of the rotation to be seen by calls
SHORT, MASS = (2, 30), (10, 60)  # rounds, and calls between two steps


@dataclass(slots=True)
class Load:
    """Calls that go on until they are told to stop."""

    client: AsyncClient
    done: int = 0
    failures: list[GenerationError] = field(default_factory=list)
    is_over: bool = False

    async def work(self) -> None:
        while not self.is_over:
            try:
                await self.client.generate("a fox", timeout=20)
            except GenerationError as error:
                self.failures.append(error)
            self.done += 1

    async def more(self, calls: int) -> None:
        """Wait until so many more have ended."""
        until = self.done + calls
        async with asyncio.timeout(PATIENCE):
            while self.done < until:
                await asyncio.sleep(0.005)


class Rotation:
    """Renews everything there is, in the order in which operators do it."""

    def __init__(self, secured: Secured, load: Load, calls: int) -> None:
        self._secured = secured
        self._load = load
        self._calls = calls
        self._key = KEY
        self.steps = 0

    async def everything(self) -> None:
        former, authority = self._secured.authority, Authority(f"authority {self.steps}")
        await self._renew("ca.crt", former.pem + authority.pem)
        self._secured.authority = authority
        for name, names in (("router", ["localhost", "router.imagegate"]), ("provider", ["localhost"]), ("client", [])):
            issued = authority.issue(name, dns=names)
            # The half-written pair in between keeps the old one.
            await self._renew(f"{name}.crt", issued.cert)
            await self._renew(f"{name}.key", issued.key)
        await self._renew("ca.crt", authority.pem)
        await self._another_key()

    async def _another_key(self) -> None:
        former, self._key = self._key, new_key()
        await self._know(former, self._key)
        await self._renew("token", self._key.encode())
        await self._know(self._key)

    async def _know(self, *keys: str) -> None:
        router = self._secured.router.router
        callers = {"batch": CallerConfig(keys=[hashed(key) for key in keys])}
        await router.configure(router.configured().model_copy(update={"callers": callers}))
        await self._load.more(self._calls)

    async def _renew(self, name: str, content: bytes) -> None:
        renew(self._secured.folder / name, content)
        self.steps += 1
        await self._load.more(self._calls)


@pytest.mark.parametrize(
    ("rounds", "calls"), [SHORT, pytest.param(*MASS, marks=[pytest.mark.nightly, pytest.mark.timeout(1200)])]
)
async def test_everything_is_renewed_under_load_and_no_call_fails(
    secured: Secured,
    rounds: int,
    calls: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """S13: server and client certificates, their authority and a caller's key, again and again: 0 failed calls."""
    first = secured.authority
    old = secured.showing(first.issue("client", dns=()), "old")
    (secured.folder / "token").write_text(KEY)
    monkeypatch.setenv("IMAGEGATE_TOKEN_FILE", str(secured.folder / "token"))
    cert, key = first.issue("client", dns=()).write(secured.folder, "client")
    async with AsyncClient(secured.router.target, ca=secured.ca, cert=cert, key=key) as client:
        load = Load(client)
        workers = [asyncio.create_task(load.work()) for _ in range(WORKERS)]
        rotation = Rotation(secured, load, calls)
        try:
            for _ in range(rounds):
                await rotation.everything()
        finally:
            load.is_over = True
            await asyncio.gather(*workers)
    figures = {"calls": load.done, "failed": len(load.failures), "steps": rotation.steps}
    with capsys.disabled():
        print(figures, end=" ")  # noqa: T201
    assert not load.failures, (figures, load.failures[:3])
    assert load.done >= (5_000 if rounds == MASS[0] else 500), figures
    # What was in use at first is of no use any more.
    async with AsyncClient(secured.router.target, **{**old, "token": KEY}) as stale:
        with pytest.raises(GenerationError) as refused:
            await stale.generate("a fox", timeout=20)
    assert refused.value.reason is Reason.UNREACHABLE
    fields = secured.showing(secured.authority.issue("client", dns=()), "new")
    async with AsyncClient(secured.router.target, **{**fields, "token": KEY}) as revoked:
        with pytest.raises(GenerationError) as refused:
            await revoked.generate("a fox", timeout=20)
    assert refused.value.reason is Reason.UNAUTHENTICATED
