"""What a person can do about a job now, with the exact command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.ledger.records import RunState
from runner.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.views.jobs import JobView


def next_steps(view: JobView, folder: str) -> Iterator[str]:
    """Yield what there is to do, a sentence each; `folder` is the output folder as people write it.

    A job without a spec can be seen to its end, but not begun or asked again.
    """
    gone = view.spec is None
    unanswered = plural(view.total - view.succeeded, "unanswered request")
    again = f"`runner retry {view.name}` asks the {unanswered} again"
    match view.state:
        case RunState.SUCCEEDED:
            yield f"nothing to do; the answers are in {folder}/output.jsonl"
        case RunState.RUNNING:
            yield (
                f"`runner reconcile` goes on with it, `runner reconcile --wait"
                f"{'' if gone else f' {view.name}'}` to its end"
            )
        case _ if gone:
            yield "no spec asks for the job any more; put it back to go on"
        case RunState.PENDING:
            yield f"`runner reconcile {view.name}` begins with it"
        case RunState.PARTIAL:
            yield f"{folder}/errors.jsonl has the last error of each; {again}"
        case RunState.FAILED:
            mend = "mend what the note says in the spec or its input, then `runner reconcile`"
            yield f"{mend}; {again}"
        case RunState.CANCELLED:
            yield again
