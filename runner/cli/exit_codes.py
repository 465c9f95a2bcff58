"""The exit codes of runner, and their meaning for each command in its help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Codes = tuple[tuple[str, str], ...]

INTERRUPTED: Final = 130
TERMINATED: Final = 143

EXIT_CODES: Final[Codes] = (
    ("0", "Success; batches may be in flight, or another reconcile is running."),
    ("1", "A job ended as failed or partial, or an error occurred."),
    ("2", "Usage error, an invalid spec or input, or no agreement: nothing was sent for it."),
    ("75", "Another reconcile holds the lock (only with --if-locked fail)."),
    ("130", "Interrupted by Ctrl-C (143: by SIGTERM); the next pass continues."),
)
"""The exit codes in `runner --help`."""

_USAGE: Final = ("2", "Usage error.")
_INVALID: Final = ("2", "Usage error, or an invalid spec or input.")
_UNREADABLE: Final = ("1", "The ledger cannot be read.")
_JOB: Final = ("1", "The job ended as failed or partial, or an error occurred.")
_BY_COMMAND: Final[Mapping[str, Codes]] = {
    "init": (
        ("0", "The project exists now."),
        ("1", "A file cannot be written."),
        _USAGE,
    ),
    "validate": (
        ("0", "All specs and inputs are valid."),
        ("1", "A file cannot be read."),
        _INVALID,
    ),
    "plan": (
        ("0", "The plan was printed, with or without changes."),
        ("1", "A provider that the plan needs did not respond, or an error occurred."),
        ("2", "Usage error, or an invalid spec or input: the plan leaves it out."),
    ),
    "reconcile": EXIT_CODES,
    "status": (
        ("0", "The table was printed, in whatever state the jobs are."),
        _UNREADABLE,
        _INVALID,
    ),
    "watch": (
        ("0", "All jobs are final and none failed, or q was pressed."),
        ("1", "A job ended as failed or partial, or the ledger cannot be read."),
        _INVALID,
        ("130", "Interrupted by Ctrl-C (143: by SIGTERM)."),
    ),
    "show": (
        ("0", "The job was printed, in whatever state it is."),
        _UNREADABLE,
        ("2", "Usage error, an invalid spec, or an unknown job."),
    ),
    "report": (
        ("0", "The report was written, in whatever state the jobs are."),
        ("1", "The ledger cannot be read, or the report cannot be written."),
        ("2", "Usage error, or an invalid spec or input: the report leaves it out."),
    ),
    "events": (("0", "The events were printed, if there are any."), _UNREADABLE, _INVALID),
    "verify": (
        ("0", "Everything matches the records."),
        ("1", "A mismatch, a file that cannot be read, or a JOB with nothing to check."),
        _INVALID,
    ),
    "cancel": (
        ("0", "Cancelled, cancellation requested, or nothing in flight."),
        _JOB,
        _INVALID,
    ),
    "retry": (
        ("0", "Resubmitted or matched, or there was nothing to do."),
        _JOB,
        ("2", "Usage error, an invalid spec or input, or lines that cannot be matched by order."),
    ),
    "trust": (
        ("0", "You have agreed; or it was shown, or is revoked."),
        ("1", "The agreement cannot be written or removed."),
        ("2", "Usage error, or an invalid runner.yaml."),
    ),
    "schedule": (
        ("0", "The schedule was printed."),
        ("2", "Usage error, an invalid spec, or a project that cannot be scheduled there."),
    ),
    "notify": (
        ("0", "The hooks were listed; with --test, all of them accepted the message."),
        ("1", "A hook did not accept the message, or the ledger cannot be read."),
        ("2", "Usage error, or an invalid runner.yaml."),
    ),
    "adopt": (
        ("0", "The batch was adopted."),
        ("1", "The provider or the disk returned an error."),
        ("2", "Usage error, an invalid spec, or the batch does not belong to the job."),
    ),
    "rebuild": (
        ("0", "The ledger was rebuilt."),
        ("1", "Rebuilt in part: a provider did not respond or an output cannot be read."),
        ("2", "Usage error, an invalid spec, or an intact ledger without --force."),
        ("75", "A reconcile holds the lock."),
    ),
    "orphans": (
        ("0", "The orphans were listed, if there are any."),
        ("1", "A provider did not respond."),
        _INVALID,
    ),
    "doctor": (
        ("0", "No check failed."),
        ("1", "A check failed."),
        ("2", "Usage error, or you have not agreed to what runner.yaml does."),
    ),
}


class Command(click.Command):
    """A command whose help ends with a table of its exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of exit codes, if the command has one."""
        if codes := _BY_COMMAND.get(self.name or ""):
            write_codes(formatter, codes)


def write_codes(formatter: click.HelpFormatter, codes: Sequence[tuple[str, str]]) -> None:
    """Write a table of exit codes at the end of a help text."""
    with formatter.section("Exit codes"):
        formatter.write_dl(codes)
