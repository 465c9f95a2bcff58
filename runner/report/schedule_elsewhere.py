"""Snippets that have a pass made every so often elsewhere: by GitHub Actions or Kubernetes.

What runs a pass there is thrown away after it, so ledger and outputs have to be kept beside it. All
names that are put into these snippets are plain ones.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.report.schedule import Placement

_HERE: Final = "/project"
"""Where a container has the project."""

_REPOSITORY: Final = "git+https://example.org/runner.git@COMMIT"
"""Stands for where runner comes from, where that is not known."""


def github_actions(place: Placement) -> tuple[str, list[str]]:
    """Return a workflow, and what to do with it."""
    root = "" if place.within == "." else f"{place.within}/"
    kept = [f"{root}{folder}" for folder in place.state]
    at = "" if place.within == "." else f"-C {shlex.quote(place.within)} "
    ended = f"hashFiles('{kept[-1]}/*/*/run.json')"
    key = f"runner-{place.name}-"
    lines = [
        f"# .github/workflows/runner-{place.name}.yml",
        f"name: runner-{place.name}",
        '"on":',
        "  schedule:",
        f'    - cron: "{place.every.cron}"',
        "  workflow_dispatch:",
        "permissions:",
        "  contents: read",
        "concurrency:  # one pass at a time; another machine or branch would have its own ledger",
        f"  group: runner-{place.name}",
        "  cancel-in-progress: false",
        "jobs:",
        "  reconcile:",
        "    runs-on: ubuntu-latest",
        "    timeout-minutes: 60",
        "    steps:",
        "      - uses: actions/checkout@v4",
        "      - uses: actions/setup-python@v5",
        "        with:",
        '          python-version: "3.12"',
        *_installed_by_actions(place),
        "      # The ledger and the outputs of the last pass. Should they be lost, nothing is",
        "      # submitted twice: the next pass finds its batches at the provider.",
        "      - uses: actions/cache/restore@v4",
        "        with:",
        "          path: |",
        *(f"            {folder}" for folder in kept),
        f"          key: {key}${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}",
        f"          restore-keys: {key}",
        "      - id: before",
        f'        run: echo "ended=${{{{ {ended} }}}}" >> "$GITHUB_OUTPUT"',
        f"      - run: runner {at}reconcile",
        *_secrets_of_actions(place.variables),
        "      - uses: actions/cache/save@v4",
        "        if: always()",
        "        with:",
        "          path: |",
        *(f"            {folder}" for folder in kept),
        f"          key: {key}${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}",
        "      - uses: actions/upload-artifact@v4  # the results, whenever a job has ended",
        f"        if: always() && {ended} != steps.before.outputs.ended",
        "        with:",
        f"          name: outputs-{place.name}-${{{{ github.run_id }}}}",
        f"          path: {kept[-1]}",
    ]
    return "\n".join(lines) + "\n", [
        (
            f"commit it as .github/workflows/runner-{place.name}.yml on the default branch; GitHub "
            "starts schedules late, and none more often than every five minutes"
        ),
        (
            "results are artifacts of the pass that ended the job; a cache that is not used for a "
            "week is deleted, and the next pass then takes the batches over from the provider"
        ),
        "who can read the repository can read both: a public one shows the results to everybody",
        *_to_be_completed(place),
        *(
            [f"set the repository's secrets: {', '.join(place.variables)}"]
            if place.variables
            else []
        ),
    ]


def kubernetes(place: Placement) -> tuple[str, list[str]]:
    """Return a CronJob and the claim that keeps its state, and what to do with them."""
    unit = f"runner-{place.name}"
    image = f"example.org/{place.name}:latest"
    lines = [
        "apiVersion: v1",
        "kind: PersistentVolumeClaim",
        "metadata:",
        f"  name: {unit}",
        "spec:",
        "  accessModes: [ReadWriteOnce]",
        "  resources:",
        "    requests:",
        "      storage: 10Gi",
        "---",
        "apiVersion: batch/v1",
        "kind: CronJob",
        "metadata:",
        f"  name: {unit}",
        "spec:",
        f'  schedule: "{place.every.cron}"',
        "  concurrencyPolicy: Forbid",
        "  startingDeadlineSeconds: 300",
        "  successfulJobsHistoryLimit: 1",
        "  failedJobsHistoryLimit: 3",
        "  jobTemplate:",
        "    spec:",
        "      backoffLimit: 0  # the next pass is the next try",
        "      activeDeadlineSeconds: 3600",
        "      template:",
        "        spec:",
        "          restartPolicy: Never",
        "          automountServiceAccountToken: false",
        "          securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000}",
        "          containers:",
        "            - name: runner",
        f"              image: {image}  # yours: runner, and the project in {_HERE}",
        f"              command: [runner, -C, {_HERE}, reconcile]",
        *_secrets_of_a_cluster(place.variables, unit),
        "              volumeMounts:",
        *(
            line
            for number, folder in enumerate(place.state)
            for line in (
                "                - name: state",
                f"                  mountPath: {_HERE}/{folder}",
                f"                  subPath: {('ledger', 'outputs')[number]}",
            )
        ),
        "          volumes:",
        "            - name: state",
        "              persistentVolumeClaim:",
        f"                claimName: {unit}",
    ]
    return "\n".join(lines) + "\n", [
        (
            f"put an image with runner ({place.requirement or _from_anywhere(place)}) and the "
            f"project in {_HERE} in the place of {image}, then `kubectl apply -f` it"
        ),
        (
            "the claim keeps the ledger and the outputs; should it be lost, nothing is submitted "
            "twice: the next pass finds its batches at the provider"
        ),
        *(
            [
                (
                    f"make the secret: `kubectl create secret generic {unit} "
                    f"--from-env-file=FILE`, where FILE has a line NAME=value for each of "
                    f"{', '.join(place.variables)}"
                )
            ]
            if place.variables
            else []
        ),
    ]


def _installed_by_actions(place: Placement) -> list[str]:
    if place.requirement is not None:
        return [f"      - run: pip install {shlex.quote(place.requirement)}"]
    return [
        "      # To be completed: the address of runner's repository, and the commit to install.",
        f"      - run: pip install {shlex.quote(f'{place.package} @ {_REPOSITORY}')}",
    ]


def _to_be_completed(place: Placement) -> list[str]:
    if place.requirement is not None:
        return []
    return [
        (
            f"put the address of runner's repository, and the commit to install, in the place of "
            f"{_REPOSITORY}: runner is on no package registry, and was not installed here from an "
            f"address that GitHub can reach"
        )
    ]


def _from_anywhere(place: Placement) -> str:
    return f"{place.package}, from its repository or a wheel of it; it is on no package registry"


def _secrets_of_actions(variables: Sequence[str]) -> list[str]:
    if not variables:
        return []
    return [
        "        env:",
        *(f"          {name}: ${{{{ secrets.{name} }}}}" for name in variables),
    ]


def _secrets_of_a_cluster(variables: Sequence[str], secret: str) -> list[str]:
    if not variables:
        return []
    return [
        "              env:",
        *(
            line
            for name in variables
            for line in (
                f"                - name: {name}",
                "                  valueFrom:",
                f"                    secretKeyRef: {{name: {secret}, key: {name}}}",
            )
        ),
    ]
