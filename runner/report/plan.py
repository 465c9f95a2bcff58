"""A plan as people read it: a block a run, a sign and a reason for each step, one summary line.

Steps of one kind and for one reason stand on one line once there are many of them, so that a
plan for a thousand shards still fits a screen; `plan --json` names each.

The lines around the steps of a plan: what has changed of a job, what is left to people.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, assert_never

from runner.planning.actions import (
    AdoptBatch,
    AdoptFile,
    CancelBatch,
    CloseRejectedBatch,
    Collect,
    Finish,
    MarkLost,
    Observe,
    PointLatest,
    RelocateRun,
    ReopenRun,
    RestoreRun,
    StartRun,
    Submit,
)
from runner.planning.state import BYTES_A_TOKEN
from runner.report.colour import NO_COLOURS
from runner.report.safe_text import fit, pad, plain, wrap
from runner.report.steps import (
    action_sign,
    action_word,
    batch_of,
    enqueued,
    is_change,
    subject,
)
from runner.text import listed, moment, plural, size, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.ledger.records import Run, SubmissionKey
    from runner.planning.actions import Action, Plan, Wait
    from runner.report.colour import Colours
    from runner.spec.yaml.scalars import Plain
    from runner.views.changes import InputChange, JobChanges, SpecEdit
    from runner.views.manual_steps import ManualStep
    from runner.views.preview import Preview


_TOGETHER: Final = 4
"""From how many on steps that differ only in their subject share a line."""

_SHORT_WORDS: Final = {"adopt_file": "adopt", "point_latest": "latest"}


def render_plan(
    preview: Preview, *, width: int | None = None, colours: Colours = NO_COLOURS
) -> str:
    """Render a plan; `width` is the number of columns to keep to, None for no limit."""
    plan = preview.plan
    lines: list[str] = []
    wanted = {(desired.job.name, desired.revision) for desired in preview.desired_runs}
    for (job, revision), (run, actions, waits) in _blocks(plan).items():
        head = f"{run.job}  {run.short}  {run.endpoint} on {run.provider}"
        lines.append(colours.bold(wrap(plain(head), width, indent=2)))
        if (job, revision) in wanted and (since := preview.since.get(job)) is not None:
            starts = any(isinstance(action, StartRun) for action in actions)
            lines += change_lines(since, starts=starts, width=width, colours=colours)
        lines += [_step(group, width, colours) for group in _groups(_worth_telling(actions, waits))]
        lines += [_wait(group, width, colours) for group in _wait_groups(waits)]
        lines.append("")
    notes = [
        *plan.notes,
        *(
            f"{provider} was not asked what it has already: {reason}"
            for provider, reason in preview.unasked.items()
        ),
    ]
    lines += [wrap(plain(f"note: {note}"), width, indent=6) for note in notes]
    if notes:
        lines.append("")
    if preview.left:
        lines += [*manual_step_lines(preview.left, width, colours), ""]
    lines.append(wrap(summary(preview), width, indent=2))
    return "\n".join(lines) + "\n"


def _blocks(plan: Plan) -> dict[tuple[str, str], tuple[Run, list[Action], list[Wait]]]:
    """Sort steps and waits by the job and revision they belong to, in the order of the plan."""
    blocks: dict[tuple[str, str], tuple[Run, list[Action], list[Wait]]] = {}
    moved: dict[str, str] = {}
    for action in plan.actions:
        run = action.run
        if isinstance(action, RelocateRun):
            # What follows belongs to the run under its new name.
            moved[run.revision] = action.job.name
        job = moved.get(run.revision, run.job)
        blocks.setdefault((job, run.revision), (run, [], []))[1].append(action)
    for wait in plan.waits:
        run = wait.run
        job = moved.get(run.revision, run.job)
        blocks.setdefault((job, run.revision), (run, [], []))[2].append(wait)
    return blocks


def _worth_telling(actions: Sequence[Action], waits: Sequence[Wait]) -> list[Action]:
    """Leave out looks at batches of which something else is said anyway."""
    told = {subject(action) for action in actions if not isinstance(action, Observe)}
    told |= {wait.key for wait in waits}
    return [
        action for action in actions if not isinstance(action, Observe) or action.key not in told
    ]


def _groups(actions: Sequence[Action]) -> list[list[Action]]:
    """Put neighbours together that differ only in what they are about."""
    groups: list[list[Action]] = []
    for _like, found in groupby(actions, key=_likeness):
        alike = list(found)
        groups += [alike] if len(alike) >= _TOGETHER else [[action] for action in alike]
    return groups


def _likeness(action: Action) -> tuple[str, str, int]:
    attempt = action.submission.key.attempt if isinstance(action, Submit) else 0
    return action_word(action), action.reason, attempt


def _step(group: Sequence[Action], width: int | None, colours: Colours) -> str:
    first = group[0]
    sign, word = action_sign(first), _SHORT_WORDS.get(action_word(first), action_word(first))
    what = _what(first) if len(group) == 1 else _what_of_all(group)
    said = f"{what} — {first.reason}" if what else first.reason
    text = step_line(sign, word, said, width)
    match sign:
        case "+" | "<" | "=":
            return colours.good(text)
        case "!" | "-":
            return colours.bad(text)
        case "?" | "~":
            return colours.warning(text)
        case _:
            return colours.faint(text)


def _what(action: Action) -> str:
    """Say what a step is about; its reason follows."""
    match action:
        case StartRun() | RestoreRun() | RelocateRun() | ReopenRun() | Finish() | PointLatest():
            return _what_of_run(action)
        case Submit():
            return f"{_place(action.submission.key)}: {_load(action)}"
        case AdoptBatch():
            return f"{action.batch.id} for {_place(action.key)}"
        case AdoptFile():
            return f"{action.file.id} for {_place(action.key)}"
        case Collect() | CloseRejectedBatch() | MarkLost() | CancelBatch():
            return f"{batch_of(action)}, {plural(action.submission.requests, 'request')}"
        case _:
            key = subject(action)
            return batch_of(action) or ("" if key is None else _place(key))


def _what_of_run(
    action: StartRun | RestoreRun | RelocateRun | ReopenRun | Finish | PointLatest,
) -> str:
    run = action.run
    match action:
        case StartRun():
            return (
                f"{plural(run.requests, 'request')} from {run.input_path}, {size(run.bytes)}, "
                f"in {plural(len(run.shards), 'shard')}"
            )
        case RestoreRun():
            return f"as {run.state}: {run.succeeded:,} of {run.requests:,} requests answered"
        case RelocateRun():
            return f"to {action.folder}"
        case ReopenRun():
            return f"{plural(run.requests, 'request')} in all"
        case Finish():
            return f"as {action.state}"
        case PointLatest():
            return f"to {run.short}"
        case _:
            assert_never(action)


def _what_of_all(group: Sequence[Action]) -> str:
    """Say what several like steps are about."""
    submits = [action for action in group if isinstance(action, Submit)]
    if submits:
        attempt = submits[0].submission.key.attempt
        again = f", attempt {attempt}" if attempt > 1 else ""
        shards = f"{plural(len(submits), 'shard')}{again}"
        return f"{shards}: {_total_load(submits)}"
    return plural(len(group), "shard" if batch_of(group[0]) is None else "batch")


def _place(key: SubmissionKey) -> str:
    return f"shard {key.shard}" + (f", attempt {key.attempt}" if key.attempt > 1 else "")


def _load(action: Submit) -> str:
    """Say how much is sent: the size of a part of a shard is known once it is cut."""
    submission = action.submission
    if submission.requests < action.shard.requests:
        load = enqueued([action])
        return (
            f"{submission.requests:,} of its {plural(action.shard.requests, 'request')}, "
            f"{tokens(load.tokens, exact=load.exact)}"
        )
    return _total_load([action])


def _total_load(submits: Sequence[Submit]) -> str:
    requests = plural(sum(action.submission.requests for action in submits), "request")
    sizes = [action.submission.bytes for action in submits]
    load = enqueued(submits)
    asked = tokens(load.tokens, exact=load.exact)
    return ", ".join([requests, *([size(sum(sizes))] if all(sizes) else []), asked])


def _in_all(submits: Sequence[Submit]) -> str:
    """Say how much a plan sends, and how its tokens were estimated if they were."""
    load = _total_load(submits)
    return load if enqueued(submits).exact else f"{load} at {BYTES_A_TOKEN} bytes each"


def _wait_groups(waits: Sequence[Wait]) -> list[list[Wait]]:
    groups: dict[tuple[str, bool], list[Wait]] = {}
    for wait in waits:
        groups.setdefault((wait.reason, wait.trouble), []).append(wait)
    return list(groups.values())


def _wait(group: Sequence[Wait], width: int | None, colours: Colours) -> str:
    first = group[0]
    keys = [wait.key for wait in group if wait.key is not None]
    what = (
        listed([_place(key) for key in keys])
        if len(keys) < _TOGETHER
        else plural(len(keys), "shard")
    )
    said = f"{what} — {first.reason}" if what else first.reason
    untils = [wait.until for wait in group if wait.until is not None]
    if untils:
        said += f" (until {moment(min(untils))} UTC)"
    sign, word = ("!", "stuck") if first.trouble else (".", "wait")
    text = step_line(sign, word, said, width)
    return colours.bad(text) if first.trouble else colours.busy(text)


def summary(preview: Preview) -> str:
    """Sum a plan up in one line: what would be done, then what is waited for."""
    plan = preview.plan
    waiting = sum(not wait.trouble for wait in plan.waits)
    stuck = len(plan.waits) - waiting
    after = [
        *([f"{plural(waiting, 'shard')} to wait for"] if waiting else []),
        *([f"{stuck:,} stuck"] if stuck else []),
    ]
    does = _deeds(plan)
    if does:
        return f"Plan: {', '.join(does)}" + "".join(f"; {part}" for part in after) + "."
    if after:
        return f"Nothing to do now: {', '.join(after)}."
    if preview.problems and not preview.desired_runs:
        return "Nothing to do: no valid job."
    return f"Nothing to do: {plural(len(preview.desired_runs), 'job')} up to date."


def _deeds(plan: Plan) -> list[str]:
    changes = [action for action in plan.actions if is_change(action)]
    submits = [action for action in changes if isinstance(action, Submit)]
    counted = {
        "submit": "batch",
        "adopt": "batch",
        "collect": "batch",
        "close": "batch",
        "lose": "batch",
        "cancel": "batch",
        "restore": "run",
        "move": "run",
        "publish": "run",
    }
    words: list[str] = [action_word(action) for action in changes]
    does = [
        f"{word} {plural(count, noun)}" + (f" ({_in_all(submits)})" if word == "submit" else "")
        for word, noun in counted.items()
        if (count := words.count(word))
    ]
    if changes and not does:
        return ["settle what is unknown" if _unsettled(words) else "tidy up"]
    return does


def _unsettled(words: Sequence[str]) -> bool:
    return any(word in ("adopt_file", "retract") for word in words)


INDENT: Final = 13
"""Where the words of a step begin: two spaces, sign, space, the longest word, a space or two."""

_VALUE: Final = 60
"""Columns that a value of a spec may take: a line of metadata can be long."""


def step_line(sign: str, word: str, said: str, width: int | None) -> str:
    """Lay out one line of a plan: a sign, a word, and what is to be said."""
    return wrap(plain(f"  {sign} {pad(word, INDENT - 5)} {said}"), width, indent=INDENT)


def change_lines(
    since: JobChanges, *, starts: bool, width: int | None, colours: Colours
) -> list[str]:
    """Say what has changed of a job; `starts` says that its revision is new and asks everything."""
    lines = []
    if not since.again:
        stays = "whose results stay in" if since.state.final else "whose results go to"
        said = f"{since.before}, {stays} {since.folder}"
        lines.append(colours.faint(step_line(" ", "since", said, width)))
    if since.edits is None:
        said = "it changed; the earlier one is none that this version of runner can read"
        lines.append(colours.warning(step_line("?", "spec", said, width)))
    for edit in since.edits or ():
        line = step_line(_sign(edit), "spec", f"{_edit(edit)} — {edit.effect}", width)
        lines.append(colours.warning(line) if edit.identity else colours.faint(line))
    if since.requests is not None:
        line = _rows_line(since.requests, starts=starts, width=width)
        lines.append(colours.warning(line))
    elif since.again and since.edits == ():
        said = "no key of it: comments, layout or its place — costs nothing"
        lines.append(colours.faint(step_line("~", "spec", said, width)))
    return lines


def manual_step_lines(left: Sequence[ManualStep], width: int | None, colours: Colours) -> list[str]:
    """Say what is left to people, a line each, with the command for it."""
    if not left:
        return []
    items = [f"  {one.job or one.provider}: {one.what} — `{one.command}`" for one in left]
    return [colours.bold("left to you:"), *(wrap(plain(item), width, indent=4) for item in items)]


def _sign(edit: SpecEdit) -> str:
    if edit.change.before is None:
        return "+"
    return "-" if edit.change.after is None else "~"


def _edit(edit: SpecEdit) -> str:
    change = edit.change
    values = [_value(value) for value in (change.before, change.after) if value is not None]
    return f"{change.field}: {' → '.join(values)}"


def _value(value: Plain) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return fit(plain(str(value)), _VALUE)


def _rows_line(change: InputChange, *, starts: bool, width: int | None) -> str:
    asked = f"a new revision asks all {change.total:,}" if starts else "makes another revision"
    rows = change.rows
    if rows is None:
        said = "which requests changed cannot be told: nothing here has the earlier ones"
        return step_line("?", "rows", f"{said} — {asked}", width)
    counts = [(rows.added, "added"), (rows.removed, "removed")]
    if rows.changed is not None:
        counts += [(rows.changed, "changed"), (rows.kept - rows.changed, "as before")]
    told = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    if rows.changed is None:
        told = (
            f"{told or 'none came or went'}; what the other {plural(rows.kept, 'request')} asked "
            f"is not known"
        )
    elif not rows.added + rows.removed + rows.changed:
        told = f"the same {plural(rows.kept, 'request')} in another order"
    return step_line("~", "rows", f"{told} (compared with {change.source}) — {asked}", width)
