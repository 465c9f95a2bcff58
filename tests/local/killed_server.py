"""Run a batch in a process that kills itself at a chosen step of the store.

    killed_server.py STATE INPUT METHOD before|after COUNT

With INPUT `-` no batch is created and what STATE holds is carried on with. Exits 0 if the work
ends before the step has been taken COUNT times.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import httpx

from runner.local.provider import LocalProvider
from runner.local.store import Store


def main() -> None:
    state, source, method, moment, count = sys.argv[1:]
    original = getattr(Store, method)
    calls = 0

    def killing(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == int(count) and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if calls == int(count) and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(Store, method, killing)
    with LocalProvider(Path(state)) as provider:
        key = {"Authorization": f"Bearer {provider.api_key.reveal()}"}
        if source != "-":
            with Path(source).open("rb") as content:
                file = httpx.post(
                    f"{provider.base_url}/files",
                    headers=key,
                    data={"purpose": "batch"},
                    files={"file": ("input.jsonl", content)},
                ).json()
            httpx.post(
                f"{provider.base_url}/batches",
                headers=key,
                json={
                    "input_file_id": file["id"],
                    "endpoint": "/v1/chat/completions",
                    "completion_window": "24h",
                },
            ).raise_for_status()
        if not provider.work(20):
            sys.exit("the work was not done in time")


if __name__ == "__main__":
    main()
