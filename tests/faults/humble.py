"""Run the command as a user that permissions bind, even if root starts it.

    humble.py ARGUMENTS

Drops the capabilities that override permissions, then executes the command.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def main() -> None:
    """Drop the capabilities permanently, and execute the command without them."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for right in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            if libc.prctl(_PR_CAPBSET_DROP, right, 0, 0, 0) != 0:
                sys.exit(os.strerror(ctypes.get_errno()))
    command = [sys.executable, "-P", "-c", "from runner.cli import main; main()", *sys.argv[1:]]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
