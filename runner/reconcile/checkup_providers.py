"""What could keep runner from its providers: keys, networks, clocks, libraries that are missing.

A provider is asked once for the first page of its batches, which costs nothing and shows four
things: that it can be reached, that the key is accepted, that it has a list to find lost batches
by, and what time it has. No key is part of a finding, only where it comes from.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from runner.errors import ApiError, NotOffered, Unauthorized, Unreachable
from runner.extras import how_to_install
from runner.reconcile.checkup import fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runner.api.client import Client
    from runner.reconcile.checkup import Finding
    from runner.spec.job import Specs
    from runner.spec.project import Project, Provider, Secret

_MOST_APART: Final = 30.0
"""Seconds that two clocks may differ before somebody is told."""

_LOCAL: Final = ("numpy", "python_multipart", "safetensors", "starlette", "tokenizers", "uvicorn")
"""The libraries of the extra `local`, as they are imported."""


def providers_in_use(project: Project, specs: Specs) -> Sequence[Provider]:
    """Return the providers that the specs name; the default one where there is no spec."""
    names = {job.provider.name for job in specs.jobs} or {project.default_provider}
    return [project.providers[name] for name in sorted(names)]


def check_provider(
    provider: Provider,
    environ: Mapping[str, str],
    open_client: Callable[[Provider, Secret | None], Client] | None,
) -> Iterator[Finding]:
    """Look at one provider; it is asked nothing where `open_client` is None."""
    if provider.max_enqueued_tokens is not None and find_spec("toktok") is None:
        yield warn(
            f"{provider.name}: tokens",
            "max_enqueued_tokens is set, and prompt tokens are estimated, not counted",
            f"for exact counts: {how_to_install('tokens')}",
        )
    if provider.embedded:
        yield _extra(provider)
        return
    try:
        key = provider.api_key(environ)
    except Unauthorized as error:
        yield fail(f"{provider.name}: key", str(error), "mend that, or name another source")
        return
    found = _key(provider, key)
    yield found
    if found.remedy is None and open_client is not None:
        with open_client(provider, key) as client:
            yield from _answers(provider, client)


def _extra(provider: Provider) -> Finding:
    missing = [name for name in _LOCAL if find_spec(name) is None]
    if missing:
        return fail(
            f"{provider.name}: extra",
            f"not installed: {', '.join(missing)}",
            how_to_install("local"),
        )
    return ok(f"{provider.name}: extra", "the libraries of the provider on this machine are there")


def _key(provider: Provider, key: Secret | None) -> Finding:
    check = f"{provider.name}: key"
    source = provider.key_source
    if source is None:
        return ok(check, "none is configured, and none is sent")
    if key is None:
        return fail(
            check,
            f"{source} is not set",
            f"set it in the environment that runner starts in, as in `export {source}=...`; cron "
            f"has an environment of its own",
        )
    return ok(check, f"from {source}; it is not shown")


def _answers(provider: Provider, client: Client) -> Iterator[Finding]:
    check = f"{provider.name}: list"
    try:
        listing = client.list_batches(enough=lambda _: True)
    except NotOffered as error:
        yield warn(
            check,
            str(error),
            "check base_url; at a provider without a list of batches, an answer that is lost "
            "leaves a job to you",
        )
    except Unauthorized as error:
        yield fail(check, str(error), "another key, or more rights for this one")
    except Unreachable as error:
        yield fail(check, str(error), "mend base_url or the network")
    except ApiError as error:
        yield fail(check, str(error), "try again in a while; if it stays, ask the provider")
    else:
        if listing.invalid:
            yield warn(
                check,
                f"answers, but {listing.invalid:,} of the entries in its list cannot be read as a "
                "batch",
                "check base_url: is this a Batch API?",
            )
        else:
            yield ok(check, "answers, accepts the key, lists its batches")
    if client.ahead is not None:
        yield _clock(provider, client.ahead)


def _clock(provider: Provider, ahead: float) -> Finding:
    check = f"{provider.name}: clock"
    if abs(ahead) <= _MOST_APART:
        return ok(check, "agrees with this machine's")
    which = "behind" if ahead > 0 else "ahead of"
    return warn(
        check,
        f"this machine's clock is {abs(ahead):,.0f} s {which} the provider's",
        "set it, best by NTP: deadlines and the search for lost batches go by it",
    )
