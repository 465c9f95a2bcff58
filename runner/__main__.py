"""The command `python -m runner`: the same as `runner`, without its script on PATH."""

from runner.cli import main

if __name__ == "__main__":
    main()
