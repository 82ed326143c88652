"""The settings are taken in a process of its own: the allocator's cannot be taken back."""

import platform
import subprocess
import sys

from imagegate.runtime.memory import YOUNGEST

CODE = "import gc; from imagegate.runtime.memory import tune; print(tune(), tune(), gc.get_threshold()[0])"


def test_tune() -> None:
    """With glibc every setting of the allocator is taken, twice as well as once; elsewhere none is needed, and nothing
    breaks. The collector looks as seldom as it is told, everywhere.
    """
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    assert told.stderr == ""
    assert told.stdout.split() == [str(platform.libc_ver()[0] == "glibc")] * 2 + [str(YOUNGEST)]
