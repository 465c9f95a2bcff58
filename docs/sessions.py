"""The sessions whose transcripts README.md and docs show: what is typed, in which folder."""
# ruff: noqa: INP001 -- read by a script that is run by its path

from __future__ import annotations

import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCRIPTS: Final = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command that is run in another form than it is shown in."""

    shown: str
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One shell, from `prepare` (not shown) through the blocks of its page in their order.

    The files that the reader of the page writes exist from the start, and so do those of `files`,
    by path from the home folder; `copies` are taken from the repository into the home
    folder. The shell starts in `start`, below the home folder.
    """

    page: str
    blocks: Mapping[str, Sequence[str | Step]]
    prepare: str = ""
    start: str = "."
    files: Mapping[str, str] = field(default_factory=dict)
    copies: Sequence[str] = ()


_GIT: Final = (
    "git() { command git -c user.name=you -c user.email=you@example.org "
    '-c init.defaultBranch=main "$@"; }'
)

_ASK: Final = (
    '{{"custom_id": "{0}", "method": "POST", "url": "/v1/chat/completions", "body": '
    '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "{1}"}}]}}}}\n'
)

_FIX: Final = "sed s/embedings/embeddings/ specs/questions.yaml > m; mv m specs/questions.yaml"
"""What the reader does in an editor."""

_KILL: Final = (
    "runner reconcile --wait 2> log & until grep -s submitted log; do :; done; kill -9 $!"
)

SESSIONS: Final = (
    Session(
        page="README.md",
        blocks={
            "tour-start": (
                "cd ~",
                "runner init project",
                "cd project",
                "runner plan",
                "runner reconcile --wait",
                "runner status",
                'grep -o \'"content":"[^"]*"\' outputs/hello/latest/output.jsonl',
            ),
            "tour-edit": (
                "sed -i.bak 's/project: hello/project: tour/' specs/hello.yaml",
                "runner reconcile",
                "echo 'replicate: 2' >> specs/hello.yaml",
                "runner reconcile --wait",
                "runner reconcile",
                "ls outputs/hello",
            ),
        },
    ),
    Session(
        page="README.md",
        start="project",
        files={
            "project/data/reviews.jsonl": _ASK.format("review-1", "Kind or unkind? I loved it.")
            + _ASK.format("review-2", "Kind or unkind? Never again."),
            "project/specs/sentiment.yaml": "endpoint: /v1/chat/completions\n"
            "input: data/reviews.jsonl\n"
            "metadata: {project: acl}\n",
        },
        blocks={
            "openai": (
                "cat specs/sentiment.yaml",
                "head -1 data/reviews.jsonl",
                "runner plan",
            )
        },
    ),
    Session(
        page="specs/banking77/README.md",
        copies=("Makefile", "pyproject.toml", "requirements", "specs"),
        # The set-up is this Python's own, so that nothing is installed for a transcript.
        prepare=f'make() {{ command make -o .venv/ready BIN="{SCRIPTS}" "$@"; }}',
        blocks={"demo": ("make demo",)},
    ),
    Session(
        page="docs/tutorial.md",
        copies=("specs/banking77",),
        prepare=_GIT,
        blocks={
            "folder": (
                "mkdir -p ~/study/data ~/study/specs",
                "cp specs/banking77/banking77-*.csv ~/study/data",
                "cd ~/study",
                "git init -q",
            ),
            "validate": (
                "python ask.py",
                "runner validate",
            ),
            "fixed": (Step(shown="runner validate", run=f"{_FIX}; runner validate"),),
            "commit": ("git add .", "git commit -qm 'Ask for the vectors of 1,540 questions'"),
            "plan": ("runner plan",),
            "reconcile": ("runner reconcile --wait",),
            "result": ("python classify.py outputs/questions/latest",),
            "status": ("runner status", "runner reconcile --wait --verbose", "runner report"),
            "edit": (
                "echo 'metadata: {course: nlp}' >> specs/questions.yaml",
                "runner plan",
                "runner reconcile",
            ),
            "kill": (
                "echo 'replicate: 2' >> specs/questions.yaml",
                "git commit -qam 'Ask a second time'",
                _KILL,
                "runner reconcile --wait",
                "runner show questions | grep -A 2 Attempts",
            ),
            "trace": (
                "cd outputs/questions/latest",
                "grep -l '\"test-1\"' raw/*",
                "grep -E '\"(key|id|commit|dirty)\":' run.json",
            ),
            "verify": ("cd ~/study", "runner verify"),
        },
    ),
    Session(
        page="docs/howto/review.md",
        prepare="runner init project 2> /dev/null; cd project",
        blocks={
            "keep": ("runner plan -o plan.json",),
            "carry-out": ("runner reconcile --plan plan.json",),
            "moved": (
                "echo 'replicate: 2' >> specs/hello.yaml",
                "runner reconcile --plan plan.json",
                "echo $?",
            ),
        },
    ),
    Session(
        page="docs/howto/failures.md",
        start="project",
        blocks={
            "partial": ("runner reconcile --wait", "echo $?"),
            "errors": (
                "runner show reviews | sed -n '/^Attempts/,/^$/p'",
                "cat outputs/reviews/latest/errors.jsonl",
            ),
            "retry": ("runner retry reviews",),
        },
    ),
    Session(
        page="docs/howto/recover.md",
        prepare="runner init project 2> /dev/null; cd project; runner reconcile --wait --quiet",
        blocks={
            "lost": ("rm .runner/ledger.db", "runner reconcile --verbose", "runner status"),
            "verify": (
                "echo '{}' >> outputs/hello/latest/output.jsonl",
                "runner verify",
                "rm outputs/hello/latest/output.jsonl",
                "runner reconcile",
                "runner verify",
            ),
        },
    ),
    Session(
        page="docs/howto/self-hosted.md",
        start="project",
        blocks={"trust": ("runner trust",), "plan": ("runner plan",)},
    ),
    Session(
        page="docs/howto/limits.md",
        start="project",
        blocks={"plan": ("runner plan",), "reconcile": ("runner reconcile --wait",)},
    ),
    Session(
        page="docs/reference/json.md",
        prepare="runner init project 2> /dev/null; cd project",
        blocks={
            "plan": ("runner plan --json",),
            "status": (
                Step(
                    shown="runner status --json",
                    run="runner reconcile --wait --quiet; runner status --json",
                ),
            ),
        },
    ),
)
