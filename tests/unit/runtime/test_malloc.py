"""The allocator's settings are taken in a process of its own: they cannot be taken back."""

import platform
import subprocess
import sys

CODE = "from imagegate.runtime.malloc import tune; print(tune(), tune())"


def test_tune() -> None:
    """With glibc every setting is taken, twice as well as once; elsewhere none is needed, and nothing breaks."""
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    assert told.stderr == ""
    assert told.stdout.split() == [str(platform.libc_ver()[0] == "glibc")] * 2
