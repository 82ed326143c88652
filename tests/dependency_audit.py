"""Asks pip-audit whether anything in the lock files has a known vulnerability, and does not take silence for a no.

`python -m dependency_audit PIP_AUDIT LOCK…`; the exit code is 0 where every package was looked up and none is
vulnerable, 1 where one is, 2 where the audit could not be done (pip-audit itself says 0 to packages that it skipped).
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CLEAN, VULNERABLE, NOT_DONE = 0, 1, 2


def judged(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """The exit code for pip-audit's report, and what to say."""
    packages = report["dependencies"]
    vulnerable = [
        f"{each['name']} {each['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none yet'}"
        for each in packages
        for found in each.get("vulns", ())
    ]
    if vulnerable:
        return VULNERABLE, vulnerable
    skipped = [str(each["skip_reason"]) for each in packages if "skip_reason" in each]
    if skipped or not packages:
        why = (
            f"{len(skipped)} of {len(packages)} packages could not be looked up: {skipped[0]}"
            if skipped
            else "no package"
        )
        return NOT_DONE, [f"the audit could not be done: {why}"]
    return CLEAN, [f"{len(packages)} packages, none with a known vulnerability"]


def asked(tool: str, lock: str) -> tuple[int, list[str]]:
    """The exit code and what to say, after asking pip-audit at `tool`, which needs the internet."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        options = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "-f", "json", "-o", str(report))
        done = subprocess.run([tool, *options, "-r", lock], check=False, capture_output=True, text=True)
        if report.exists():
            return judged(json.loads(report.read_text()))
    why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return NOT_DONE, [f"the audit could not be done: pip-audit ended with {done.returncode}: {why}"]


def main(arguments: Sequence[str]) -> int:
    """Print what there is to say of each lock file. A vulnerability weighs more than an audit that was not done."""
    tool, *locks = arguments
    codes = set()
    for lock in locks:
        code, said = asked(tool, lock)
        codes.add(code)
        for line in said:
            print(f"{lock}: {line}", file=sys.stderr if code else sys.stdout)
    return VULNERABLE if VULNERABLE in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
