"""Processes that do not outlive us, even when we are killed without a chance to stop them.

Linux tells a child of its parent's death if the child asks. Only the child can ask, and running
Python between fork and exec is not safe beside threads: so a few lines run first, ask, and then
become the wanted program. Elsewhere than on Linux there is no leash, and SIGKILL leaves orphans.
"""

import os
import sys

# PR_SET_PDEATHSIG is 1. The parent may have died before it was asked for: then nobody will tell.
ASK_THEN_BECOME = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def leashed(*arguments: str) -> list[str]:
    """The command that runs this Python with `arguments` and dies when the thread that started it does."""
    if sys.platform != "linux":
        return [sys.executable, *arguments]
    # -I and -S: nothing of the environment or of the packages is needed for this much, and it starts in no time.
    return [sys.executable, "-I", "-S", "-c", ASK_THEN_BECOME, str(os.getpid()), *arguments]
