"""fal's storage: who may upload, and what is kept of it."""

import aiohttp
import pytest

from imagegate.sandbox.call import RefusedError
from imagegate.sandbox.fal_files import UPLOADED_PATH, Files, Upload
from imagegate.testing import picture

KEY = {"Authorization": "Key id:secret"}
TOKEN_PATH = "/fal/rest/storage/auth/token"
UPLOAD_PATH = "/fal/cdn/files/upload"


async def a_token(sandbox, http):
    async with http.post(f"{sandbox.url}{TOKEN_PATH}?storage_type=fal-cdn-v3", json={}, headers=KEY) as answer:
        assert answer.status == 200
        return await answer.json()


async def uploaded(sandbox, http, token, data=b"x", **headers):
    sent = {"Authorization": f"Bearer {token}", "Content-Type": "image/png", **headers}
    async with http.post(sandbox.url + UPLOAD_PATH, data=data, headers=sent) as answer:
        return answer.status, await answer.json()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_token_lets_upload(sandbox, http):
    """U2: a key is good for a token, a token for files, and a file's address for whoever has it."""
    told = await a_token(sandbox, http)
    assert told["token_type"] == "Bearer"
    assert told["base_url"] == f"{sandbox.url}/fal/cdn"
    data = picture()
    status, body = await uploaded(sandbox, http, told["token"], data)
    assert status == 200
    async with http.get(body["access_url"]) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "image/png", data)


async def test_who_may_not_upload(sandbox, http):
    """R14: neither our key nor a made-up token opens the CDN, and a wrong key gets no token."""
    for authorization in ("Bearer made-up", "Key id:secret", ""):
        status, _ = await uploaded(sandbox, http, "", Authorization=authorization)
        assert status == 401
    async with http.post(f"{sandbox.url}{TOKEN_PATH}?storage_type=fal-cdn-v3", json={}) as answer:
        assert answer.status == 401
    async with http.post(f"{sandbox.url}{TOKEN_PATH}?storage_type=gcs", json={}, headers=KEY) as answer:
        assert answer.status == 400


async def test_what_cannot_be_uploaded(sandbox, http):
    """A file needs content, and a life in fal's own words."""
    token = (await a_token(sandbox, http))["token"]
    assert (await uploaded(sandbox, http, token, b""))[0] == 400
    for life in ("soon", "7", '{"seconds": 7}'):
        assert (await uploaded(sandbox, http, token, **{"X-Fal-Object-Lifecycle": life}))[0] == 400


def test_uploads_are_bounded():
    """The oldest files go when all together are too large."""
    files = Files(max_kept=2 * len(picture()))
    for name in "abc":
        files.store(name, Upload(picture(), "image/png"))
    urls = [f"http://h{UPLOADED_PATH}{name}" for name in "abc"]
    with pytest.raises(RefusedError):
        files.load({"image_url": urls[0]})
    assert files.load({"image_url": urls[1], "mask_url": urls[2]}) == {
        "image_url": [picture()],
        "mask_url": [picture()],
    }
