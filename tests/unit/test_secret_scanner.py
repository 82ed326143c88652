"""Keys that somebody could use are found wherever they are, and made-up ones are left alone."""

import random
import string
import subprocess
from pathlib import Path

import pytest

import secret_scanner

ROOT = Path(__file__).parents[2]


def drawn(length: int, signs: str = string.ascii_letters + string.digits) -> str:
    """Drawn by lot, always the same; put together here, so that this file holds no key."""
    lot = random.Random(length)  # noqa: S311
    return "".join(lot.choice(signs) for _ in range(length))


HEX = "0123456789abcdef"[1:]
PLANTED = {
    "Hugging Face token": "hf_" + drawn(34, string.ascii_letters),
    "Replicate token": "r8_" + drawn(37),
    "RunPod key": "rpa_" + drawn(46, string.ascii_uppercase + string.digits),
    "OpenAI key": "sk-proj-" + drawn(60),
    "webhook secret": "whsec_" + drawn(32) + "=",
    "imagegate key": "ig_" + drawn(43, string.ascii_letters + string.digits + "-_"),
    "AWS key id": "AKIA" + drawn(16, string.ascii_uppercase + string.digits),
    "private key": "-----BEGIN RSA PRIVATE " + "KEY-----",
    "bearer token": "Authorization: Bearer " + drawn(40),
    "basic credentials": "Authorization: Basic " + drawn(40),
    "key credentials": f"Authorization: Key {drawn(16)}:{drawn(32)}",
    "credential in a query": f"https://storage.invalid/a?x=1&X-Amz-Signature={drawn(64, HEX)}",
    "fal key": f"{drawn(8, HEX)}-{drawn(4, HEX)}-{drawn(4, HEX)}-{drawn(4, HEX)}-{drawn(12, HEX)}:{drawn(32, HEX)}",
}


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def test_every_shape_is_planted() -> None:
    """S40: a shape that the scanner looks for is one that this test plants."""
    assert set(PLANTED) == {shape.name for shape in secret_scanner.SHAPES if shape.least}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_key_is_found(name: str, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """S40: a key of every shape is found in a tracked file, with its place, and is itself not repeated."""
    (repository / "notes.md").write_text(f"a line\nKEY: '{PLANTED[name]}', and so on\n")
    assert secret_scanner.main([], repository) == 0
    git(repository, "add", "notes.md")
    assert secret_scanner.main([], repository) == 1
    said = capsys.readouterr().err
    assert f"notes.md:2: {name}" in said
    assert PLANTED[name][-12:] not in said or name == "private key"


@pytest.mark.parametrize("name", PLANTED)
def test_a_key_that_was_taken_out_again_is_found(
    name: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S40: what was committed once is out, whatever the files hold now."""
    note = repository / "notes.md"
    for text in (f"one\ntwo\n{PLANTED[name]}\n", "one\ntwo\n"):
        note.write_text(text)
        git(repository, "add", "notes.md")
        git(repository, "commit", "-q", "-m", "a note")
    assert secret_scanner.main([], repository) == 0
    assert secret_scanner.main(["--history"], repository) == 1
    assert f":notes.md:3: {name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "HUGGINGFACE_API_KEY=hf_EXAMPLEexample0123456789",
        "FAL_KEY=sandbox-id:sandbox-secret",
        "Authorization: Bearer ig_local_EXAMPLE",
        "https://queue.example/x?token=the-token-that-was-given-out",
        "a bearer token of the operator's own; key credentials; Basic authentication",
        "hf_inference.to_output(answer, order), r8_" + "x" * 40,
        "sha256:0c5c1f8b1e8f1a7f5e5b6f0b7c3f5a9d0c5c1f8b1e8f1a7f5e5b6f0b7c3f5a9d",
        "password=settings.database_password, secret=hashlib.sha256(value.encode()).hexdigest()",
    ],
)
def test_what_is_no_key_is_left_alone(line: str) -> None:
    """S40: made-up keys, prose and code are not taken for keys: a scanner that cries wolf is switched off."""
    assert list(secret_scanner.finds("notes.md", [(1, line)])) == []


def test_this_repository_holds_none() -> None:
    """S40: no file and no commit of ours holds a key."""
    assert secret_scanner.main(["--history"]) == 0


def test_what_is_there_on_purpose_is_there() -> None:
    """An exception for a file that is gone would wait for another file of that name."""
    assert all((ROOT / name).exists() for name in secret_scanner.ON_PURPOSE)
