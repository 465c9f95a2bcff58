"""Run the command where no file may grow beyond a size, as on a disk that is nearly full.

limited.py BYTES ARGUMENTS
"""

from __future__ import annotations

import os
import resource
import sys


def main() -> None:
    """Set the limit, then become the command."""
    size = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    command = [sys.executable, "-P", "-c", "from runner.cli import main; main()", *sys.argv[2:]]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main()
