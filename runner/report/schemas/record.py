"""The record of a run, `run.json`."""

from typing import Annotated

from msgspec import Meta

from runner.outputs.record import RunRecord

Output = Annotated[
    RunRecord,
    Meta(
        title="The record of a run",
        description="run.json, in the output folder of a run that has ended: what was submitted "
        "and received, and what made it. Fields may be added; format_version changes when a field "
        "changes its meaning.",
    ),
]
