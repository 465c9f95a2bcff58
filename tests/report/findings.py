"""Values for the tests of `verify`, `orphans` and `notify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from runner.checks.input import InputCheck
from runner.checks.verify import RevisionCheck, Verification
from runner.ledger.notifications import Subscriber
from runner.ledger.records import SubmissionKey
from runner.outputs.integrity import FileCheck, FileMatch, FolderCheck
from runner.spec.notifications import Address, ChatChannel, CommandChannel, Hook, WebhookChannel
from runner.views.orphans import Orphan, Orphans
from tests.report.scenes import HOSTILE, REVISIONS

_RIGHT: Final = "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"
_WRONG: Final = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"


def file(name: str, match: FileMatch = FileMatch.OK, **values: Any) -> FileCheck:  # noqa: ANN401
    """Return a file of a run's folder, compared with its record."""
    return FileCheck(
        name=name,
        match=match,
        **{
            "expected_sha256": _RIGHT,
            "found_sha256": _RIGHT,
            "expected_bytes": 1_262_800,
            "found_bytes": 1_262_800,
            "lines": 3_080,
            **values,
        },
    )


def revision(job: str, *files: FileCheck, **values: Any) -> RevisionCheck:  # noqa: ANN401
    """Return one revision of a job, checked."""
    short = REVISIONS[job][:12]
    return RevisionCheck(
        job=job,
        revision=short,
        folder=f"outputs/{job}/{short}",
        content=FolderCheck(record=None, files=files),
        **{"input": None, **values},
    )


WHOLE: Final = Verification(
    revisions=(
        revision(
            "sentiment",
            file("output.jsonl"),
            file("errors.jsonl", lines=0),
            file("raw/0001-1.output.jsonl"),
            input=InputCheck(path="data/reviews.jsonl", match=FileMatch.OK, expected_sha256=_RIGHT),
        ),
        revision(
            "summaries",
            file("output.jsonl", lines=1),
            input=InputCheck(
                path="data/articles.jsonl",
                match=FileMatch.DIFFERS,
                expected_sha256=_RIGHT,
                found_sha256=_WRONG,
                reason="has changed since, which is no fault of this earlier revision's",
            ),
        ),
    ),
    unfinished=("judge",),
)

DOUBTFUL: Final = Verification(
    revisions=(
        revision("sentiment", file("output.jsonl"), file("raw/0001-1.output.jsonl")),
        revision(
            "banking77-intents",
            file("output.jsonl", FileMatch.DIFFERS, found_sha256=_WRONG, found_bytes=1_262_799),
            file(
                "errors.jsonl", FileMatch.MISSING, found_sha256=None, found_bytes=None, lines=None
            ),
            file("raw/extra.jsonl", FileMatch.STRAY, expected_sha256=None, expected_bytes=None),
            file(
                "raw/0001-1.errors.jsonl",
                FileMatch.UNREADABLE,
                reason="cannot be read: it is a folder",
            ),
            input=InputCheck(
                path="specs/banking77/intents-chat.jsonl",
                match=FileMatch.DIFFERS,
                bad=True,
                expected_sha256=_RIGHT,
                found_sha256=_WRONG,
                reason="differs from what was asked",
            ),
            problems=(f"the record counts 3,080 answers, the file has 3,079; {HOSTILE}",),
            notes=("the ledger knows nothing of this revision",),
        ),
    ),
    unfinished=(),
)

ORPHANS: Final = Orphans(
    found=(
        Orphan(
            provider="openai",
            kind="batch",
            id="batch_68f0c3a1d4b88190a7000001",
            key=SubmissionKey(job="sentiment", revision="9f86d081884c", shard=1, attempt=1),
            created_at=1_700_000_000,
            status="completed",
            size=3_080,
            files=("file-1", "file-2"),
            reason="no job here is named sentiment, nor was one",
        ),
        Orphan(
            provider="lab",
            kind="file",
            id="file-0007",
            key=SubmissionKey(
                job="every-answer-of-the-model-about-wikipedia.v2",
                revision="2c26b46b68ff",
                shard=2,
                attempt=1,
            ),
            created_at=None,
            status=None,
            size=337_300,
            files=(),
            reason=f"the ledger has another file for this submission, {HOSTILE}",
        ),
    ),
    not_queried={},
)


def listener(hook: Hook, **values: Any) -> Subscriber:  # noqa: ANN401
    """Return a hook as the ledger knows it."""
    return Subscriber(
        id=hook.id,
        name=str(hook),
        **{
            "delivered": 17,
            "tries": 0,
            "failures": 0,
            "not_before": 0.0,
            "last_sent_at": None,
            "problem": None,
            **values,
        },
    )


_MAIL: Final = Hook(
    channel=CommandChannel(arguments=("mail", "-s", "runner"), folder=Path("/project"))
)
_HOOK: Final = Hook(
    channel=WebhookChannel(address=Address(variable="CHAT_HOOK")),
    when=("failed", "partial", "trouble", "recovered"),
    jobs="acl-*",
)
_CHAT: Final = Hook(channel=ChatChannel(address=Address(file=Path("~/.config/runner/mail"))))

HOOKS: Final = (
    (_MAIL, None),
    (_HOOK, listener(_HOOK, last_sent_at=1_700_000_000.0)),
    (_CHAT, listener(_CHAT)),
    (
        _HOOK,
        listener(
            _HOOK,
            failures=3,
            problem=f"127.0.0.1:8080 answered 500 {HOSTILE}",
        ),
    ),
)
