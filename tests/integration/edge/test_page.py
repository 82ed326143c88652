"""The page's files over a real socket."""

import pytest
from yarl import URL

from imagegate.testing.fronted import ServedEdge


async def test_the_page_is_for_anybody_and_says_what_may_run_in_it(edge: ServedEdge) -> None:
    """P10: the page comes without a key, as HTML, with a policy under which nothing but its own files runs."""
    async with edge.session("") as nobody, nobody.get("/") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


async def test_what_a_browser_has_already_is_not_sent_again(edge: ServedEdge) -> None:
    """A file has an ETag, and is answered by 304 without a body to who has it."""
    async with edge.session("") as nobody:
        async with nobody.get("/static/js/main.js") as answer:
            assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert await answer.read()
            tag = answer.headers["ETag"]
        async with nobody.get("/static/js/main.js", headers={"If-None-Match": tag}) as again:
            assert again.status == 304
            assert await again.read() == b""
        async with nobody.get("/static/js/main.js", headers={"If-None-Match": '"other"'}) as changed:
            assert changed.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/js",
        "/static/../page.py",
        "/static/%2e%2e/page.py",
        "/static/js/nothing.js",
        "/static//etc/passwd",
    ],
)
async def test_only_the_files_of_the_page_are_there(edge: ServedEdge, path: str) -> None:
    """What is named is looked up among the page's own files and never on a disk."""
    async with edge.session("") as nobody, nobody.get(URL(f"{edge.url}{path}", encoded=True)) as answer:
        assert answer.status == 404
        assert (await answer.json())["reason"] == "NOT_FOUND"
