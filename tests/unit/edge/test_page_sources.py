"""The page's files keep the rules that its Content-Security-Policy and every user's text rely on."""

import re
from pathlib import Path

import pytest

import imagegate.edge
from imagegate.edge.page import MEDIA_TYPES, Page

STATIC = Path(str(imagegate.edge.__file__)).parent / "static"
FILES = sorted(path for path in STATIC.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
# Ways to make HTML or code out of text.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|setHTML"
    r"|\beval\b|new Function|javascript:|\.cssText|setAttribute\(\"style\"|\bstyle[:=]"
)
IMPORT = re.compile(r'from "([^"]+)"')


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_html_or_code_out_of_text(path: Path) -> None:
    """P10: whatever somebody typed becomes text nodes and attributes only."""
    assert not FORBIDDEN.search(path.read_text())


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    """P10: the HTML has no script, style or handler of its own, and no file names another host."""
    html = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    hosts = {host for path in FILES for host in re.findall(r"https?://([^/\"'\s]+)", path.read_text())}
    assert hosts <= {"www.w3.org"}  # the name of SVG, which nobody fetches


def test_every_file_that_is_named_is_there_and_every_file_is_named() -> None:
    """A module that is imported exists, and none lies about that nothing imports."""
    named = {STATIC / name for name in re.findall(r'"/static/([^"]+)"', (STATIC / "index.html").read_text())}
    for path in SCRIPTS:
        named |= {path.parent / name for name in IMPORT.findall(path.read_text())}
    assert named == {path for path in FILES if path.name != "index.html"}


def test_every_file_of_the_page_has_a_type() -> None:
    """Each is served with a fixed media type; one of an unknown kind would stop the edge."""
    assert {path.suffix for path in FILES} <= MEDIA_TYPES.keys()
    assert [endpoint.path for endpoint in Page().endpoints()] == ["/", "/static/{name:.*}"]
