"""Snippets that have a pass made every so often on this machine: by cron or by systemd.

Each is ready to be put where it belongs, and comes with what is to be done with it. None takes a
lock around the command: a pass that finds another at work leaves at once.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final

from runner.report.words import plural

_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
_TIME: Final = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_MINUTES: Final = {"m": 1, "h": _HOUR, "d": _DAY}
_MORNING: Final = 6
"""The hour of a daily pass."""

KEYS: Final = "~/.config/runner/env"
"""The file that holds keys, one `NAME=value` a line, for whatever runs as this user."""

_BARE: Final = re.compile(r"[A-Za-z0-9_@+=:,./-]+", re.ASCII)
_UNIT_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """How often: in minutes, such that the passes fall on the same times each hour or day."""

    minutes: int

    @classmethod
    def read(cls, text: str) -> Every:
        """Read 10m, 2h or 1d; raises ValueError, saying which times there are."""
        match = _TIME.fullmatch(text)
        minutes = int(match[1]) * _MINUTES[match[2]] if match else 0
        whole = _DAY % minutes == 0 if minutes % _HOUR == 0 and minutes else False
        if not whole and not (0 < minutes < _HOUR and _HOUR % minutes == 0):
            raise ValueError(
                f"{text!r} divides neither an hour nor a day; such as 5m, 10m, 30m, 1h, 6h or 1d do"
            )
        return cls(minutes=minutes)

    def __str__(self) -> str:
        if self.minutes == _DAY:
            return "day"
        if self.minutes < _HOUR:
            return "minute" if self.minutes == 1 else plural(self.minutes, "minute")
        hours = self.minutes // _HOUR
        return "hour" if hours == 1 else plural(hours, "hour")

    @property
    def cron(self) -> str:
        """The five fields of cron."""
        if self.minutes == _DAY:
            return f"0 {_MORNING} * * *"
        if self.minutes < _HOUR:
            return f"{_step(self.minutes)} * * * *"
        return f"0 {_step(self.minutes // _HOUR)} * * *"

    @property
    def calendar(self) -> str:
        """The time as systemd.time writes it."""
        if self.minutes == _DAY:
            return f"*-*-* {_MORNING:02}:00"
        if self.minutes < _HOUR:
            return f"*:0/{self.minutes}"
        return f"0/{self.minutes // _HOUR}:00"


def _step(every: int) -> str:
    return "*" if every == 1 else f"*/{every}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What is to be run, and where it lies.

    `program` and `folder` are absolute paths of this machine; `within` is the project's folder
    seen from the root of its repository. `state` are the folders of ledger and outputs, seen from
    the project. `variables` are the names of those that must be set. `package` is runner
    with the extras that the project uses, `requirement` what pip on any machine takes to install
    it, None where that is not known. `name` is fit for a unit, a cache or a cluster.
    """

    name: str
    program: str
    folder: str
    within: str
    state: tuple[str, ...]
    variables: tuple[str, ...]
    package: str
    requirement: str | None
    every: Every


def cron(place: Placement) -> tuple[str, list[str]]:
    """Return a line of a crontab, and what to do with it."""
    keys = f"set -a; . {KEYS}; " if place.variables else ""
    command = (
        f"{keys}exec {shlex.quote(place.program)} -C {shlex.quote(place.folder)} "
        "reconcile --remind 1d"
    )
    # cron takes a bare % for a line end (crontab(5)).
    line = f"{place.every.cron}  {command}".replace("%", "\\%")
    about = f"# A pass over the batch jobs of {place.folder} every {place.every}"
    return f"{about}\n{line}\n", [
        (
            "add these lines with `crontab -e`; cron mails what a pass prints to MAILTO: what it "
            "did, and a trouble when it begins, once a day, and when it is over"
        ),
        *_keys_in_a_file(place),
    ]


def systemd(place: Placement) -> tuple[str, list[str]]:
    """Return two units for the user's systemd, and what to do with them."""
    unit = f"runner-{place.name}"
    home = "~/.config/systemd/user"
    keys = ["EnvironmentFile=%h/.config/runner/env"] if place.variables else []
    lines = [
        f"# {home}/{unit}.service",
        "[Unit]",
        f"Description=A pass over the batch jobs of {_escaped(place.folder)}",
        "",
        "[Service]",
        "Type=oneshot",
        *keys,
        f"ExecStart={_word(place.program)} -C {_word(place.folder)} reconcile",
        "",
        f"# {home}/{unit}.timer",
        "[Unit]",
        f"Description=A pass over the batch jobs of {_escaped(place.folder)} every {place.every}",
        "",
        "[Timer]",
        f"OnCalendar={place.every.calendar}",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n", [
        (
            f"put each part into the file that its first line names, then run `systemctl --user "
            f"daemon-reload` and `systemctl --user enable --now {unit}.timer`"
        ),
        (
            "`loginctl enable-linger` lets it run while you are logged out; "
            f"`journalctl --user -u {unit}` shows what passes said"
        ),
        *_keys_in_a_file(place),
    ]


def _keys_in_a_file(place: Placement) -> list[str]:
    if not place.variables:
        return []
    wanted = ", ".join(f"{name}='...'" for name in place.variables)
    return [f"write into {KEYS}, a line each: {wanted}; then run `chmod 600 {KEYS}`"]


def _escaped(text: str) -> str:
    """Write a text for a unit's description, in which % begins a specifier (systemd.unit(5))."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """Write one argument of a unit's command line (systemd.service(5), systemd.syntax(7))."""
    return text if _BARE.fullmatch(text) else f'"{text.translate(_UNIT_ESCAPES)}"'
