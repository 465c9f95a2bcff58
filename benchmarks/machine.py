"""The machine, versions and time of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.rows import ROOT

_LIBRARIES: Final = ("click", "httpx", "msgspec", "pydantic", "sqlite-utils", "openai")


def describe() -> str:
    """Return a paragraph about the machine and the versions of the measured programs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    curl = _output_of("curl", "--version").split("\n")[0].split(" (")[0]
    versions = [f"Python {sys.version.split()[0]}", curl or "no curl"]
    versions += [f"{name} {version(name)}" for name in _LIBRARIES]
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB,"
        f" {platform.system()} {platform.release()}.\n"
        f"{', '.join(versions)}.\n"
    )


def stamp() -> str:
    """Return the time, the commit, and the load of the machine before the measurement."""
    commit = _output_of("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    dirty = ", with changes" if _output_of("git", "status", "--porcelain", "--", "runner") else ""
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return f"{when} UTC, commit {commit}{dirty}, load {os.getloadavg()[0]:.1f} before"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.split("\n") if "model name" in line]
    return names[0] if names else platform.machine()


def _output_of(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
