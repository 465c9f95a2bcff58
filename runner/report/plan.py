"""The output of `runner plan`: a block for each run, a line for each action, a summary line.

A line has a sign, a word, a subject and a reason. Many actions of one kind and for one reason
share a line, so that a plan for a thousand shards fits a screen; `plan --json` lists each action.
Above the actions of a run are the changes of its spec and its input; below all runs are the
steps that runner leaves to the user.
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
from runner.planning.plan import prompt_tokens
from runner.planning.state import BYTES_A_TOKEN, Enqueued
from runner.report.colour import NO_COLOURS
from runner.report.text_width import fit, pad, wrap
from runner.text import listed, moment, plural, printable, size, tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from runner.ledger.records import Run
    from runner.planning.actions import Action, Plan, Wait
    from runner.report.colour import Colours
    from runner.spec.yaml.tree import Scalar
    from runner.views.changes import InputChange, JobChanges, SpecEdit
    from runner.views.manual_steps import ManualStep
    from runner.views.preview import Preview


_TOGETHER: Final = 4
"""The number of actions from which on those that differ only in their subject share a line."""

_BlockKey = tuple[str, str]
"""The name of a job and its revision."""

_SHORT_WORDS: Final = {"adopt_file": "adopt", "point_latest": "latest"}


_MANY: Final = 20
"""The number of jobs above which, in a terminal, those with the same steps share their lines."""


def render_plan(
    preview: Preview,
    *,
    width: int | None = None,
    each: bool = False,
    colours: Colours = NO_COLOURS,
) -> str:
    """Render a plan in at most `width` columns; None for no limit.

    In a terminal, of many jobs those with the same steps share their lines unless `each` is true.
    """
    plan = preview.plan
    lines = [colours.bold(wrap(headline(plan), width, indent=2)), ""] if _is_any(plan) else []
    wanted = {(desired.job.name, desired.revision) for desired in preview.desired_runs}
    blocks = _blocks(plan)
    is_summed = width is not None and not each and len(blocks) > _MANY
    changed = {
        (job, revision) for job, revision in blocks.keys() & wanted if job in preview.changes
    }
    for alike in _alike(blocks, changed) if is_summed else [[key] for key in blocks]:
        job, revision = alike[0]
        run, actions, waits = blocks[alike[0]]
        name = f"{run.job}  {run.short}"
        if len(alike) > 1:
            name = listed([blocks[key][0].job for key in alike])
            actions = [action for key in alike for action in blocks[key][1]]
            waits = [wait for key in alike for wait in blocks[key][2]]
        head = f"{name}  {_where(run)}"
        lines.append(colours.bold(wrap(printable(head), width, indent=2)))
        if (job, revision) in wanted and (since := preview.changes.get(job)) is not None:
            starts = any(isinstance(action, StartRun) for action in actions)
            lines += _change_lines(since, starts=starts, width=width, colours=colours)
        shown = _without_redundant_observations(actions, waits)
        groups = _groups(shown) if len(alike) == 1 else _kinds(shown)
        lines += [_action_line(group, width, colours) for group in groups]
        lines += _whole_job(run, actions, width) if len(alike) == 1 else []
        lines += [
            _wait_line(group, width, colours, of_jobs=len(alike)) for group in _wait_groups(waits)
        ]
        lines.append("")
    notes = [
        *plan.notes,
        *(
            f"the batches at {provider} were not listed: {reason}"
            for provider, reason in preview.not_queried.items()
        ),
    ]
    lines += [wrap(printable(f"note: {note}"), width, indent=6) for note in notes]
    if notes:
        lines.append("")
    if preview.manual_steps:
        lines += [*_manual_step_lines(preview.manual_steps, width, colours), ""]
    total = summary(preview)
    lines.append(wrap(total.replace("Plan:", "In total:", 1), width, indent=2))
    return "\n".join(lines) + "\n"


def _where(run: Run) -> str:
    """Return the endpoint, the provider and the models of a run."""
    models = list(dict.fromkeys(shard.model for shard in run.shards if shard.model))
    return f"{run.endpoint} on {run.provider}" + (f", {listed(models)}" if models else "")


def _alike(
    blocks: Mapping[_BlockKey, tuple[Run, list[Action], list[Wait]]], changed: Collection[_BlockKey]
) -> list[list[_BlockKey]]:
    """Return the blocks by what they say; each that shows changes stays alone."""
    groups: dict[object, list[_BlockKey]] = {}
    for key, (run, actions, waits) in blocks.items():
        says = (
            _where(run),
            tuple(dict.fromkeys(map(_group_key, actions))),
            frozenset((wait.reason, wait.is_problem) for wait in waits),
        )
        groups.setdefault(key if key in changed else says, []).append(key)
    return list(groups.values())


def _kinds(actions: Sequence[Action]) -> list[list[Action]]:
    """Return the actions of several jobs by kind, in the order of the first of each."""
    kinds: dict[object, list[Action]] = {}
    for action in actions:
        kinds.setdefault(_group_key(action), []).append(action)
    return list(kinds.values())


def _blocks(plan: Plan) -> dict[tuple[str, str], tuple[Run, list[Action], list[Wait]]]:
    """Return the actions and waits by job and revision, in the order of the plan."""
    blocks: dict[tuple[str, str], tuple[Run, list[Action], list[Wait]]] = {}
    moved: dict[str, str] = {}
    for action in plan.actions:
        run = action.run
        if isinstance(action, RelocateRun):
            # The actions after this one belong to the run under its new name.
            moved[run.revision] = action.job.name
        job = moved.get(run.revision, run.job)
        blocks.setdefault((job, run.revision), (run, [], []))[1].append(action)
    for wait in plan.waits:
        run = wait.run
        job = moved.get(run.revision, run.job)
        blocks.setdefault((job, run.revision), (run, [], []))[2].append(wait)
    return blocks


def _without_redundant_observations(
    actions: Sequence[Action], waits: Sequence[Wait]
) -> list[Action]:
    """Return the actions without observations of submissions that have another line."""
    shown = {action.submission_key for action in actions if not isinstance(action, Observe)}
    shown |= {wait.key for wait in waits}
    return [
        action for action in actions if not isinstance(action, Observe) or action.key not in shown
    ]


def _groups(actions: Sequence[Action]) -> list[list[Action]]:
    """Group neighbouring actions that differ only in their subject."""
    groups: list[list[Action]] = []
    for _like, found in groupby(actions, key=_group_key):
        alike = list(found)
        groups += [alike] if len(alike) >= _TOGETHER else [[action] for action in alike]
    return groups


def _group_key(action: Action) -> tuple[str, str, int]:
    attempt = action.submission.key.attempt if isinstance(action, Submit) else 0
    return action.verb, action.reason, attempt


def _action_line(group: Sequence[Action], width: int | None, colours: Colours) -> str:
    first = group[0]
    sign, word = first.sign, _SHORT_WORDS.get(first.verb, first.verb)
    what = _subject(first) if len(group) == 1 else _common_subject(group)
    text = f"{what} — {first.reason}" if what else first.reason
    line = _step_line(sign, word, text, width)
    match sign:
        case "+" | "<" | "=":
            return colours.good(line)
        case "!" | "-":
            return colours.bad(line)
        case "?" | "~":
            return colours.warning(line)
        case _:
            return colours.faint(line)


def _subject(action: Action) -> str:
    """Return the subject of an action: a run, a shard, a batch or a file."""
    match action:
        case StartRun() | RestoreRun() | RelocateRun() | ReopenRun() | Finish() | PointLatest():
            return _run_subject(action)
        case Submit():
            return f"{action.submission.key.place}: {_load(action)}"
        case AdoptBatch():
            return f"{action.batch.id} for {action.key.place}"
        case AdoptFile():
            return f"{action.file.id} for {action.key.place}"
        case Collect() | CloseRejectedBatch() | MarkLost() | CancelBatch():
            return f"{action.remote_batch_id}, {plural(action.submission.requests, 'request')}"
        case _:
            key = action.submission_key
            return action.remote_batch_id or ("" if key is None else key.place)


def _run_subject(
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
            return f"as {run.state}: {run.succeeded:,} of {run.requests:,} requests succeeded"
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


def _common_subject(group: Sequence[Action]) -> str:
    """Return the subject of several actions that share a line."""
    submits = [action for action in group if isinstance(action, Submit)]
    if submits:
        attempt = submits[0].submission.key.attempt
        later_attempt = f", attempt {attempt}" if attempt > 1 else ""
        shards = f"{plural(len(submits), 'shard')}{later_attempt}"
        return f"{shards}: {_total_load(submits)}"
    starts = [action for action in group if isinstance(action, StartRun)]
    if starts:
        requests = sum(action.run.requests for action in starts)
        total = size(sum(action.run.bytes for action in starts))
        return f"{plural(len(starts), 'job')}: {plural(requests, 'request')}, {total}"
    if group[0].submission_key is None:
        return plural(len(group), "job")
    return plural(len(group), "shard" if group[0].remote_batch_id is None else "batch")


def _load(action: Submit) -> str:
    """Return the size of a submission; the bytes of a part of a shard are not known yet."""
    submission = action.submission
    if submission.requests < action.shard.requests:
        load = prompt_tokens([action])
        return (
            f"{submission.requests:,} of its {plural(action.shard.requests, 'request')}, "
            f"{tokens(load.tokens, exact=load.exact)}"
        )
    return _total_load([action])


def _total_load(submits: Sequence[Submit]) -> str:
    requests = plural(sum(action.submission.requests for action in submits), "request")
    sizes = [action.submission.bytes for action in submits]
    load = prompt_tokens(submits)
    prompts = tokens(load.tokens, exact=load.exact)
    return ", ".join([requests, *([size(sum(sizes))] if all(sizes) else []), prompts])


def _plan_load(submits: Sequence[Submit]) -> str:
    """Return the size of all submissions of a plan, and how their tokens were estimated."""
    load = _total_load(submits)
    return load if prompt_tokens(submits).exact else f"{load} at {BYTES_A_TOKEN} bytes each"


def _wait_groups(waits: Sequence[Wait]) -> list[list[Wait]]:
    groups: dict[tuple[str, bool], list[Wait]] = {}
    for wait in waits:
        groups.setdefault((wait.reason, wait.is_problem), []).append(wait)
    return list(groups.values())


def _wait_line(group: Sequence[Wait], width: int | None, colours: Colours, *, of_jobs: int) -> str:
    first = group[0]
    keys = [wait.key for wait in group if wait.key is not None]
    what = (
        listed([key.place for key in keys])
        if len(keys) < _TOGETHER and of_jobs == 1
        else plural(len(keys), "shard")
        if keys
        else plural(of_jobs, "job")
    )
    text = f"{what} — {first.reason}" if what else first.reason
    untils = [wait.until for wait in group if wait.until is not None]
    if untils:
        text += f" (until {moment(min(untils))} UTC)"
    sign, word = ("!", "blocked") if first.is_problem else (".", "wait")
    line = _step_line(sign, word, text, width)
    return colours.bad(line) if first.is_problem else colours.busy(line)


def _is_any(plan: Plan) -> bool:
    """Whether a plan changes anything, or has something to wait for."""
    return bool(plan.waits) or any(not action.bookkeeping for action in plan.actions)


def headline(plan: Plan) -> str:
    """Return the first line of a plan: how many batches are submitted, collected and so on."""
    counts = {"submit": 0, "collect": 0, "change": 0}
    for action in plan.actions:
        if isinstance(action, Submit):
            counts["submit"] += 1
        elif isinstance(action, Collect):
            counts["collect"] += 1
        elif not (action.bookkeeping or isinstance(action, StartRun)):
            counts["change"] += 1
    text = ", ".join(f"{count:,} to {what}" for what, count in counts.items())
    waiting, stuck = _count_waits(plan)
    text += f"; {waiting:,} waiting" if waiting else ""
    return f"Plan: {text}{f'; {stuck:,} blocked' if stuck else ''}."


def _count_waits(plan: Plan) -> tuple[int, int]:
    """Return how many submissions wait, and how many are blocked."""
    stuck = sum(wait.is_problem for wait in plan.waits)
    return len(plan.waits) - stuck, stuck


def _whole_job(run: Run, actions: Sequence[Action], width: int | None) -> list[str]:
    """Return the size of a whole job, where a plan submits only a part of it."""
    submits = [action for action in actions if isinstance(action, Submit)]
    submitted = sum(action.submission.requests for action in submits)
    is_first = any(action.submission.key.attempt == 1 for action in submits)
    if not is_first or submitted >= run.requests:
        return []
    counted = [shard.tokens for shard in run.shards]
    load = Enqueued(
        counted=sum(count or 0 for count in counted),
        uncounted_bytes=sum(shard.bytes for shard in run.shards if shard.tokens is None),
        exact=None not in counted,
    )
    prompts = tokens(load.tokens, exact=load.exact)
    text = f"{plural(run.requests, 'request')}, {size(run.bytes)}, {prompts}"
    return [_step_line(" ", "in all", text, width)]


def summary(preview: Preview) -> str:
    """Return the summary of a plan: the actions, then the waits."""
    plan = preview.plan
    waiting, stuck = _count_waits(plan)
    after = [
        *([f"{plural(waiting, 'shard')} waiting"] if waiting else []),
        *([f"{stuck:,} blocked"] if stuck else []),
    ]
    actions = _count_actions(plan)
    if actions:
        return f"Plan: {', '.join(actions)}" + "".join(f"; {part}" for part in after) + "."
    if after:
        return f"Nothing to do now: {', '.join(after)}."
    if preview.problems and not preview.desired_runs:
        return "Nothing to do: no valid job."
    return f"Nothing to do: {plural(len(preview.desired_runs), 'job')} up to date."


def _count_actions(plan: Plan) -> list[str]:
    changes = [action for action in plan.actions if not action.bookkeeping]
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
    words: list[str] = [action.verb for action in changes]
    texts = [
        f"{word} {plural(count, noun)}" + (f" ({_plan_load(submits)})" if word == "submit" else "")
        for word, noun in counted.items()
        if (count := words.count(word))
    ]
    if changes and not texts:
        uncertain = any(word in ("adopt_file", "retract") for word in words)
        return ["resolve uncertain submissions" if uncertain else "clean up"]
    return texts


_INDENT: Final = 13
"""The column of the text of a line, after the sign and the word."""

_VALUE: Final = 60
"""Columns to which a value of a spec is cut."""


def _step_line(sign: str, word: str, text: str, width: int | None) -> str:
    """Return one line of a plan, wrapped to `width` columns."""
    return wrap(printable(f"  {sign} {pad(word, _INDENT - 5)} {text}"), width, indent=_INDENT)


def _change_lines(
    since: JobChanges, *, starts: bool, width: int | None, colours: Colours
) -> list[str]:
    """Return the changes of a job; `starts` if the plan submits all requests of a new revision."""
    lines = []
    if not since.same_revision:
        where = "its results stay in" if since.state.final else "its results go to"
        text = f"{since.before}; {where} {since.folder}"
        lines.append(colours.faint(_step_line(" ", "before", text, width)))
    if since.edits is None:
        text = "changed; this version of runner cannot read the earlier spec"
        lines.append(colours.warning(_step_line("?", "spec", text, width)))
    for edit in since.edits or ():
        line = _step_line(_sign(edit), "spec", f"{_edit(edit)} — {edit.effect}", width)
        lines.append(colours.warning(line) if edit.identity else colours.faint(line))
    if since.requests is not None:
        line = _rows_line(since.requests, starts=starts, width=width)
        lines.append(colours.warning(line))
    elif since.same_revision and since.edits == ():
        text = "no field changed: comments, layout or path of the file — costs nothing"
        lines.append(colours.faint(_step_line("~", "spec", text, width)))
    return lines


def _manual_step_lines(
    steps: Sequence[ManualStep], width: int | None, colours: Colours
) -> list[str]:
    """Return the steps that runner leaves to the user, each with its command."""
    if not steps:
        return []
    items = [f"  {step.job or step.provider}: {step.what} — `{step.command}`" for step in steps]
    return [
        colours.bold("manual steps:"),
        *(wrap(printable(item), width, indent=4) for item in items),
    ]


def _sign(edit: SpecEdit) -> str:
    if edit.change.before is None:
        return "+"
    return "-" if edit.change.after is None else "~"


def _edit(edit: SpecEdit) -> str:
    change = edit.change
    values = [_value(value) for value in (change.before, change.after) if value is not None]
    return f"{change.field}: {' → '.join(values)}"


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return fit(printable(str(value)), _VALUE)


def _rows_line(change: InputChange, *, starts: bool, width: int | None) -> str:
    requests = plural(change.total, "request")
    effect = f"a new revision submits all {requests}" if starts else "makes another revision"
    rows = change.rows
    if rows is None:
        text = "the changed requests are not known: the earlier input is not here"
        return _step_line("?", "rows", f"{text} — {effect}", width)
    counts = [(rows.added, "added"), (rows.removed, "removed")]
    if rows.changed is not None:
        counts += [(rows.changed, "changed"), (rows.kept - rows.changed, "unchanged")]
    text = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    if rows.changed is None:
        text = (
            f"{text or 'none added or removed'}; whether the other "
            f"{plural(rows.kept, 'request')} changed is not known"
        )
    elif not rows.added + rows.removed + rows.changed:
        text = f"the same {plural(rows.kept, 'request')} in another order"
    return _step_line("~", "rows", f"{text} (compared with {change.source}) — {effect}", width)
