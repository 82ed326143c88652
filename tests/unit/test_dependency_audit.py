"""What an audit of the dependencies says, with a script in pip-audit's place."""

import json
from pathlib import Path
from typing import Any

import pytest

import dependency_audit

FINE = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
SKIPPED = {"name": "yarl", "skip_reason": "Dependency not found on PyPI and could not be audited: yarl (1.2)"}
BAD = {"name": "pillow", "version": "12.1", "vulns": [{"id": "CVE-0000-1", "fix_versions": ["12.3"]}]}


def a_tool(folder: Path, packages: list[dict[str, Any]] | None, code: int = 0) -> str:
    """A pip-audit that writes this report, or none."""
    tool = folder / "pip-audit"
    report = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    writing = (
        f"while [ $# -gt 0 ]; do [ \"$1\" = -o ] && printf '%s' '{report}' > \"$2\"; shift; done" if report else ""
    )
    tool.write_text(f"#!/bin/sh\n{writing}\necho 'ConnectionError: no way to api.example' >&2\nexit {code}\n")
    tool.chmod(0o755)
    return str(tool)


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([FINE], 0, "1 packages, none with a known vulnerability"),
        ([FINE, BAD], 1, "pillow 12.1: CVE-0000-1, fixed in 12.3"),
        ([BAD, SKIPPED], 1, "pillow 12.1"),
        ([FINE, SKIPPED], 2, "could not be done: 1 of 2 packages could not be looked up: Dependency not found on PyPI"),
        ([], 2, "could not be done"),
        (None, 2, "could not be done: pip-audit ended with 1: ConnectionError: no way to api.example"),
    ],
)
def test_what_is_said(
    packages: list[dict[str, Any]] | None, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """S43: silence is not taken for a no: what could not be looked up is told, with an exit code of its own."""
    tool = a_tool(tmp_path, packages, code=int(packages is None))
    assert dependency_audit.main([tool, "requirements.lock"]) == code
    told = capsys.readouterr()
    assert said in told.out + told.err
