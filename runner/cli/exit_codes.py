"""What exit codes mean: of runner as a whole, and of each command where it says more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Codes = tuple[tuple[str, str], ...]

EXIT_CODES: Final[Codes] = (
    ("0", "Fine; work in flight, nothing to do, or another reconcile at work."),
    ("1", "A job failed or ended partial, or something could not be done."),
    ("2", "Usage error, or invalid spec or input: nothing was sent for it."),
    ("75", "Another reconcile holds the lock, with --if-locked fail."),
    ("130", "Interrupted (143: terminated); the next pass goes on."),
)
"""Those of `runner --help`."""

_USAGE: Final = ("2", "Usage error.")
_INVALID: Final = ("2", "Usage error, or an invalid spec or input.")
_UNREADABLE: Final = ("1", "The ledger cannot be read.")
_JOB: Final = ("1", "The job failed or ended partial, or something could not be done.")
_BY_COMMAND: Final[Mapping[str, Codes]] = {
    "init": (("0", "The project is there."), ("1", "It cannot be written."), _USAGE),
    "validate": (("0", "All is valid."), ("1", "Something cannot be read."), _INVALID),
    "plan": (
        ("0", "The plan is shown, whether or not there is anything to do."),
        ("1", "A provider should have answered and did not, or the ledger cannot be read."),
        ("2", "Usage error, or an invalid spec or input: the plan is without it."),
    ),
    "reconcile": EXIT_CODES,
    "status": (("0", "Shown, whatever state the jobs are in."), _UNREADABLE, _INVALID),
    "watch": (
        ("0", "All jobs are final and well, or q was pressed."),
        ("1", "A job failed or ended partial, or the ledger cannot be read."),
        _INVALID,
        ("130", "Ended by Ctrl-C (143: terminated)."),
    ),
    "show": (
        ("0", "Shown, whatever state the job is in."),
        _UNREADABLE,
        ("2", "Usage error, an invalid spec, or no such job."),
    ),
    "report": (
        ("0", "Written, whatever state the jobs are in."),
        ("1", "The ledger cannot be read, or the page not be written."),
        ("2", "Usage error, or an invalid spec or input: the page is without it."),
    ),
    "events": (("0", "Listed, if anything happened."), _UNREADABLE, _INVALID),
    "verify": (
        ("0", "All is as recorded."),
        ("1", "Something is not, cannot be read, or has nothing to check."),
        _INVALID,
    ),
    "cancel": (("0", "Cancelled, about to be, or nothing in flight."), _JOB, _INVALID),
    "retry": (("0", "Asked again, or nothing to ask."), _JOB, _INVALID),
    "schedule": (
        ("0", "Printed."),
        ("2", "Usage error, a project that cannot be run there, or an invalid spec."),
    ),
    "notify": (
        ("0", "Listed; with --test, everybody took the sample."),
        ("1", "Somebody did not take it, or the ledger cannot be read."),
        ("2", "Usage error, or an invalid runner.yaml."),
    ),
    "adopt": (
        ("0", "Taken over."),
        ("1", "The provider or the disk is in the way."),
        ("2", "Usage error, an invalid spec, or a batch that is not the job's."),
    ),
    "rebuild": (
        ("0", "Made anew."),
        ("1", "Made, but a provider could not be asked or outputs could not be read."),
        ("2", "Usage error, an invalid spec, or a sound ledger without --force."),
        ("75", "A reconcile holds the lock."),
    ),
    "orphans": (
        ("0", "Listed, if there are any."),
        ("1", "A provider could not be asked."),
        _INVALID,
    ),
    "doctor": (("0", "No check failed."), ("1", "A check failed."), _USAGE),
}


class Command(click.Command):
    """A command whose help ends with what its exit codes mean."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table, where there is more to it than an error of usage."""
        if codes := _BY_COMMAND.get(self.name or ""):
            write_codes(formatter, codes)


def write_codes(formatter: click.HelpFormatter, codes: Sequence[tuple[str, str]]) -> None:
    """Write a table of exit codes at the end of a help text."""
    with formatter.section("Exit codes"):
        formatter.write_dl(codes)
