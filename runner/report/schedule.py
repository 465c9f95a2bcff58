"""Schedules that run `runner reconcile` at an interval: cron, systemd, GitHub Actions, Kubernetes.

The texts are templates in `runner/cli/template/`, in the syntax of `string.Template`; this module
fills them in, with each value quoted for the place where it goes. No schedule takes a lock: a pass
that finds another one running ends immediately. GitHub Actions and Kubernetes run each pass on a
fresh machine or container, so their schedules keep the ledger and the outputs between passes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from string import Template
from typing import TYPE_CHECKING, Final

from runner.text import parse_duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
_MORNING: Final = 6
"""The hour of a daily pass."""

_ENVIRONMENT: Final = "~/.config/runner/env"
"""The file with the API keys on this machine, one `NAME=value` a line."""

_PLACEHOLDER: Final = "git+https://example.org/runner.git@COMMIT"
"""The address of runner where it is unknown; the user replaces it."""

_CONTAINER: Final = "/project"
"""The folder of the project in a container."""

_GITHUB_AGREES: Final = '  RUNNER_TRUST: "yes"  # who merges a change of runner.yaml has read it'
_KUBERNETES_AGREES: Final = (
    '  - {name: RUNNER_TRUST, value: "yes"}  # who builds the image has read its runner.yaml'
)
"""Where nobody can be asked. The folders of a volume are often writable for a group, too."""

_BARE: Final = re.compile(r"[A-Za-z0-9_@+=:,./-]+", re.ASCII)
_UNIT_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"})


class Scheduler(StrEnum):
    """A program that can run a pass at an interval."""

    CRON = "cron"
    SYSTEMD = "systemd"
    GITHUB_ACTIONS = "github-actions"
    KUBERNETES = "kubernetes"


TEMPLATES: Final[Mapping[Scheduler, tuple[str, ...]]] = {
    Scheduler.CRON: ("schedule.cron",),
    Scheduler.SYSTEMD: ("schedule.service", "schedule.timer"),
    Scheduler.GITHUB_ACTIONS: ("schedule.github.yaml",),
    Scheduler.KUBERNETES: ("schedule.kubernetes.yaml",),
}
"""The files of `runner/cli/template/` that make up the schedule of each scheduler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The time between two passes, in minutes; it divides an hour or a day."""

    minutes: int

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Parse 10m, 2h or 1d. Raises ValueError, which names valid times."""
        minutes = (parse_duration(text, units=("m", "h", "d")) or 0) // 60
        whole = _DAY % minutes == 0 if minutes % _HOUR == 0 and minutes else False
        if not whole and not (0 < minutes < _HOUR and _HOUR % minutes == 0):
            raise ValueError(
                f"{text!r} divides neither an hour nor a day: use for example 5m, 30m, 1h, 6h or 1d"
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
        """The five time fields of crontab(5)."""
        if self.minutes == _DAY:
            return f"0 {_MORNING} * * *"
        if self.minutes < _HOUR:
            return f"{_step(self.minutes)} * * * *"
        return f"0 {_step(self.minutes // _HOUR)} * * *"

    @property
    def calendar(self) -> str:
        """The calendar event of systemd.time(7)."""
        if self.minutes == _DAY:
            return f"*-*-* {_MORNING:02}:00"
        if self.minutes < _HOUR:
            return f"*:0/{self.minutes}"
        return f"0/{self.minutes // _HOUR}:00"


def _step(every: int) -> str:
    return "*" if every == 1 else f"*/{every}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTarget:
    """The project that is scheduled, and the command.

    `name` is a valid part of the name of a unit, a cache or a Kubernetes object. `program` and
    `folder` are absolute paths of this machine; cron and systemd use them. GitHub Actions and
    Kubernetes use the others, which need no quotes: `repository_folder` is the project's folder
    relative to the root of its repository, `ledger` and `outputs` are folders relative to the
    project. `variables` are the environment variables that a pass needs. `package` is runner with
    the extras that the project uses; `requirement` is the argument of `pip install` for another
    machine, None where runner was not installed from an address that it can reach.
    `needs_agreement` is whether runner.yaml runs or sends something that has to be agreed to.
    """

    name: str
    program: str
    folder: str
    repository_folder: str = "."
    ledger: str = ""
    outputs: str = ""
    variables: tuple[str, ...]
    package: str
    requirement: str | None
    every: Interval
    needs_agreement: bool = False

    @property
    def unit(self) -> str:
        """The name of the unit, the workflow or the Kubernetes objects."""
        return f"runner-{self.name}"

    @property
    def image(self) -> str:
        """The name of a container image, which the user replaces."""
        return f"example.org/{self.name}:latest"


def render_schedule(scheduler: Scheduler, target: ScheduleTarget, templates: Sequence[str]) -> str:
    """Render the schedule; `templates` are the texts of the scheduler's files in `TEMPLATES`."""
    values = _values(scheduler, target)
    return "\n".join(Template(template).substitute(values) for template in templates)


def _values(scheduler: Scheduler, target: ScheduleTarget) -> dict[str, str]:
    """Return the value of each placeholder, quoted for the place where it goes."""
    values = {"name": target.name, "unit": target.unit, "cron": target.every.cron}
    match scheduler:
        case Scheduler.CRON:
            return values | _cron_values(target)
        case Scheduler.SYSTEMD:
            return values | _systemd_values(target)
        case Scheduler.GITHUB_ACTIONS:
            return values | _github_values(target)
        case Scheduler.KUBERNETES:
            return values | _kubernetes_values(target)


def _cron_values(target: ScheduleTarget) -> dict[str, str]:
    return {
        "folder": target.folder,
        "every": str(target.every),
        "environment": f"set -a; . {_ENVIRONMENT}; " if target.variables else "",
        "program": _escape_cron(shlex.quote(target.program)),
        "project": _escape_cron(shlex.quote(target.folder)),
    }


def _escape_cron(text: str) -> str:
    """Escape a percent sign, which ends the command in a crontab (crontab(5))."""
    return text.replace("%", "\\%")


def _systemd_values(target: ScheduleTarget) -> dict[str, str]:
    return {
        # % begins a specifier, in a description too (systemd.unit(5)).
        "folder": target.folder.replace("%", "%%"),
        "every": str(target.every),
        "calendar": target.every.calendar,
        "environment": "\nEnvironmentFile=%h/.config/runner/env" if target.variables else "",
        "program": _quote_unit(target.program),
        "project": _quote_unit(target.folder),
    }


def _quote_unit(text: str) -> str:
    """Quote an argument of a unit's command line (systemd.service(5), systemd.syntax(7))."""
    return text if _BARE.fullmatch(text) else f'"{text.translate(_UNIT_ESCAPES)}"'


def _github_values(target: ScheduleTarget) -> dict[str, str]:
    at_root = target.repository_folder == "."
    root = "" if at_root else f"{target.repository_folder}/"
    return {
        "install": _github_install(target),
        "ledger": f"{root}{target.ledger}",
        "outputs": f"{root}{target.outputs}",
        "directory": "" if at_root else f"-C {shlex.quote(target.repository_folder)} ",
        "environment": _block(
            8,
            "env:",
            *(f"  {name}: ${{{{ secrets.{name} }}}}" for name in target.variables),
            *([_GITHUB_AGREES] if target.needs_agreement else []),
        ),
    }


def _github_install(target: ScheduleTarget) -> str:
    """Return the argument of `pip install`, with a comment if the user has to complete it."""
    if target.requirement is not None:
        return shlex.quote(target.requirement)
    requirement = shlex.quote(f"{target.package} @ {_PLACEHOLDER}")
    return f"{requirement}  # complete: the address of runner's repository, and a commit"


def _origin(target: ScheduleTarget) -> str:
    return target.requirement or f"{target.package}, from its repository or from a wheel"


def _kubernetes_values(target: ScheduleTarget) -> dict[str, str]:
    entries = [_KUBERNETES_AGREES]
    for name in target.variables:
        entries += [
            f"  - name: {name}",
            "    valueFrom:",
            f"      secretKeyRef: {{name: {target.unit}, key: {name}}}",
        ]
    return {
        "image": target.image,
        "project": _CONTAINER,
        "ledger": target.ledger,
        "outputs": target.outputs,
        "environment": _block(14, "env:", *entries),
    }


def _block(indent: int, head: str, *lines: str) -> str:
    """Return lines of YAML, each after a line end and `indent` spaces; none without `lines`."""
    return "".join(f"\n{' ' * indent}{line}" for line in (head, *lines)) if lines else ""


def schedule_notes(scheduler: Scheduler, target: ScheduleTarget) -> Iterator[str]:
    """Yield the steps that put a schedule into effect, a sentence each."""
    unit, names = target.unit, ", ".join(target.variables)
    match scheduler:
        case Scheduler.CRON:
            yield (
                "add these lines with `crontab -e`; cron mails the output of each pass to MAILTO: "
                "what the pass did, and each problem when it begins, once a day, and when it ends"
            )
            yield from _environment_notes(target)
            yield from _agreement_notes(target)
        case Scheduler.SYSTEMD:
            yield (
                "put each part into the file that its first line names, then run `systemctl "
                f"--user daemon-reload` and `systemctl --user enable --now {unit}.timer`"
            )
            yield (
                "`loginctl enable-linger` lets it run while you are logged out; "
                f"`journalctl --user -u {unit}` shows the output of the passes"
            )
            yield from _environment_notes(target)
            yield from _agreement_notes(target)
        case Scheduler.GITHUB_ACTIONS:
            yield (
                f"commit it as .github/workflows/{unit}.yml on the default branch; GitHub starts "
                "scheduled workflows late, and at most every five minutes"
            )
            yield (
                "the results are an artifact of the pass that finished the job; GitHub deletes a "
                "cache that is not used for a week, and the next pass then adopts the batches at "
                "the provider"
            )
            yield (
                "everyone who can read the repository can read the cache and the results; in a "
                "public repository that is everyone"
            )
            if target.requirement is None:
                yield (
                    f"replace {_PLACEHOLDER} by the address of runner's repository and the commit "
                    "to install: runner is not published on a package registry, and it was not "
                    "installed here from an address that GitHub can reach"
                )
            if names:
                yield f"set the repository's secrets: {names}"
        case Scheduler.KUBERNETES:
            yield (
                f"replace {target.image} by an image with runner ({_origin(target)}) and the "
                f"project in {_CONTAINER}, then apply the file with `kubectl apply -f`"
            )
            yield (
                "the volume claim keeps the ledger and the outputs; if it is lost, nothing is "
                "submitted twice: the next pass adopts the batches at the provider"
            )
            if names:
                yield (
                    f"create the secret: `kubectl create secret generic {unit} "
                    f"--from-env-file=FILE`, where FILE has a line NAME=value for each of {names}"
                )


def _environment_notes(target: ScheduleTarget) -> Iterator[str]:
    if target.variables:
        wanted = ", ".join(f"{name}='...'" for name in target.variables)
        yield (
            f"write these lines into {_ENVIRONMENT}: {wanted}; then run `chmod 600 {_ENVIRONMENT}`"
        )


def _agreement_notes(target: ScheduleTarget) -> Iterator[str]:
    if target.needs_agreement:
        yield (
            "nobody can be asked there: run `runner trust` once as this user, and again after a "
            "change of what runner.yaml runs or where it sends"
        )
