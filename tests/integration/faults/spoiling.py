"""How rows come about for which the sandbox alone has no fault."""

import base64
import gzip
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from PIL import Image

from imagegate.testing import picture
from imagegate.testing.fronts import Front, Told, rewriting, self_signed

Rule = Mapping[str, object]
# Something between a provider and its upstream, whose address is the argument.
FrontMaker = Callable[[str], AbstractAsyncContextManager[Front]]

STATUS = {"upstream": "fal", "method": "GET", "path": "*/status"}
RESULT = {"upstream": "fal", "method": "GET", "path": "/fal-ai/*/requests/*[0-9a-f]"}  # …/status ends otherwise
PICTURE = {"upstream": "fal", "method": "GET", "path": "/fal/cdn/*"}

TXT2IMG = "/txt2img"


def submission(upstream: str, fault: str, **more: object) -> Sequence[Rule]:
    """A fault of the call that asks for a picture."""
    return [{"upstream": upstream, "method": "POST", "fault": fault, **more}]


@asynccontextmanager
async def nowhere(_url: str) -> AsyncIterator[Front]:
    """A name without an address."""
    yield Front("http://no-such-host.invalid")


def untrusted(_url: str) -> AbstractAsyncContextManager[Front]:
    """TLS with a certificate that signs itself."""
    return self_signed(Path(__file__).with_name("self_signed.pem"))


def answers(rewrite: Callable[[Told], Told]) -> FrontMaker:
    """Other answers in the place of the upstream's."""
    return lambda url: rewriting(url, rewrite)


def pictures(change: Callable[[bytes], bytes]) -> FrontMaker:
    """Other pictures in the place of the upstream's, in its body or in the JSON of one."""

    def rewrite(told: Told) -> Told:
        if _is_picture(told):
            return replace(told, body=change(told.body))
        if not told.path.endswith(TXT2IMG):
            return told
        images = [base64.b64encode(change(base64.b64decode(each))).decode() for each in json.loads(told.body)["images"]]
        return _with(told, images=images)

    return answers(rewrite)


def a_gif(_picture: bytes) -> bytes:
    """A picture of a kind that is not taken."""
    encoded = io.BytesIO()
    Image.open(io.BytesIO(picture())).save(encoded, "GIF")
    return encoded.getvalue()


def with_a_tail(whole: bytes) -> bytes:
    """A picture that is something else too."""
    return whole + b"<script>alert(1)</script>"


def compressed(told: Told) -> Told:
    """A hundred megabytes in a hundred kilobytes, in the place of what holds a picture."""
    if not (_is_picture(told) or told.path.endswith(TXT2IMG)):
        return told
    return replace(told, headers={**told.headers, "content-encoding": "gzip"}, body=_gzip_bomb())


def by_another_checkpoint(told: Told) -> Told:
    """The webui says that another checkpoint made the picture than was asked for."""
    if not told.path.endswith(TXT2IMG):
        return told
    info = json.loads(json.loads(told.body)["info"])
    return _with(told, info=json.dumps(info | {"sd_model_name": "somebody-elses", "sd_model_hash": "0123456789"}))


def without_the_last(told: Told) -> Told:
    """One picture fewer than the webui made."""
    return _with(told, images=json.loads(told.body)["images"][:-1]) if told.path.endswith(TXT2IMG) else told


def by_an_ingress(told: Told) -> Told:
    """A 502 by what stands before fal, where fal has taken the work."""
    if told.method != "POST":
        return told
    return replace(told, status=502, headers={"content-type": "text/html"}, body=b"<html>502 Bad Gateway</html>")


def _is_picture(told: Told) -> bool:
    return told.headers.get("content-type", "").startswith("image/")


def _with(told: Told, **changes: object) -> Told:
    return replace(told, body=json.dumps(json.loads(told.body) | changes).encode())


@cache
def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(100_000_000))
