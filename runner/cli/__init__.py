"""The command line: options in, exit codes out. What it does lives in the rooms below."""

from runner.cli.main import main

__all__ = ["main"]
