"""A provider of the Batch API in memory: exact, scriptable, the same for the same seed.

It has no threads and no time of its own: it reads `clock` when it gets a request, and everything
that happens in between (a batch runs, a file appears) follows from earlier requests. So thousands
of days of faults fit in a second, and each can be repeated. A test may ask it for the truth while
a server in another thread carries out requests: `lock` keeps the two apart.

Files and batches behave as the OpenAI reference says and as reports of users say
(fact sheet, sections 1 to 6); `Behaviour`, `Conditions` and `faults` are what can go wrong.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.simulation import truth
from tests.simulation.batches import BatchDesk
from tests.simulation.behaviour import Behaviour, Conditions, same
from tests.simulation.faults import never, on_the_wire
from tests.simulation.files import FileShelf
from tests.simulation.replies import Ground, Refusal

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable

    from tests.simulation.behaviour import Behaviours
    from tests.simulation.exchange import Request, Response
    from tests.simulation.faults import Fault, Faults, Sent
    from tests.simulation.files import StoredFile
    from tests.simulation.truth import Submission

_CONTENT = re.compile(r"/files/([^/]+)/content")


@dataclass(slots=True)
class VirtualClock:
    """A clock that moves only when it is set, or when code sleeps by it."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass immediately."""
        self.now += max(0.0, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One line of the provider's log. `status` is None where no reply was sent."""

    number: int
    at: float
    method: str
    path: str
    query: dict[str, str]
    body: bytes
    filename: str | None
    fault: Fault | None
    acted: bool
    status: int | None

    def __str__(self) -> str:
        fault = "" if self.fault is None else f" {self.fault}"
        return f"{self.number} @{self.at:g} {self.method} {self.path} -> {self.status}{fault}"


class World:
    """The provider. Public attributes may be changed while it is running.

    Attributes:
        clock: what time it is, in Unix seconds.
        faults: called at each exchange for the fault that happens to it.
        key: the only API key accepted; None accepts every client.
        requests: the log of all exchanges.
        lock: held by whoever acts on the state or reads it; the same thread may take it twice.

    """

    def __init__(
        self,
        clock: Callable[[], float],
        seed: int = 0,
        *,
        behaviour: Behaviours | Behaviour | None = None,
        conditions: Conditions | None = None,
        faults: Faults = never,
        key: str | None = None,
        windows: tuple[str, ...] = ("24h",),
    ) -> None:
        self.clock = clock
        self.faults = faults
        self.key = key
        self.requests: list[Exchange] = []
        self.lock = threading.RLock()
        self._ground = Ground(clock=clock, seed=seed, conditions=conditions or Conditions())
        self._files = FileShelf(ground=self._ground)
        self._batches = BatchDesk(
            ground=self._ground, files=self._files, behaviours=_each(behaviour), windows=windows
        )
        self._fetched: dict[str, float] = {}
        self._excused: dict[str, dict[str, float]] = {}

    @property
    def conditions(self) -> Conditions:
        return self._ground.conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._ground.conditions = conditions

    @property
    def behaviour(self) -> Behaviours:
        return self._batches.behaviours

    @behaviour.setter
    def behaviour(self, behaviour: Behaviours | Behaviour) -> None:
        self._batches.behaviours = _each(behaviour)

    def exchange(self, request: Request) -> Sent:
        """Carry out one exchange, faults included, and return what reaches the client."""
        number = len(self.requests)
        fault = self.faults(request, number)
        acted = fault is None or fault.acted
        now = self.clock()
        answer = (self._refuse_key(request) or self.handle(request)) if acted else None
        if answer is not None and answer.status >= 400 and self.conditions.refuses_with:
            answer = replace(answer, status=self.conditions.refuses_with)
        sent = on_the_wire(fault, answer)
        upload = request.form.file if request.form else None
        self.requests.append(
            Exchange(
                number=number,
                at=now,
                method=request.method,
                path=request.path,
                query=dict(request.query),
                body=request.body,
                filename=upload.filename if upload else None,
                fault=fault,
                acted=acted,
                status=sent.reply.status if sent.reply else None,
            )
        )
        if sent.whole and acted and sent.reply and sent.reply.status == 200:
            found = _CONTENT.fullmatch(request.path)
            if found and found[1] in self._files.stored:
                self._fetched.setdefault(found[1], now)
        return sent

    def handle(self, request: Request) -> Response:
        """Act on a request and answer it: the provider itself, no fault and no key between."""
        now = self.clock()
        self._batches.settle(now)
        try:
            return self._route(request, now)
        except Refusal as refusal:
            return refusal.reply()

    def _route(self, request: Request, now: float) -> Response:
        match [part for part in request.path.split("/") if part]:
            case ["files" | "batches"] if request.method == "GET" and self._no_lists:
                raise Refusal(self._no_lists, f"Invalid URL (GET /v1{request.path})")
            case ["files", *parts]:
                return self._files.handle(request, parts, now)
            case ["batches", *parts]:
                return self._batches.handle(request, parts, now)
            case _:
                raise Refusal(404, f"Invalid URL ({request.method} /v1{request.path})")

    @property
    def _no_lists(self) -> int | None:
        return self.conditions.list_missing

    def _refuse_key(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.key is None or given == self.key:
            return None
        if not given:
            return Refusal(401, "You didn't provide an API key.").reply()
        shown = given if self.conditions.echoes_key else f"{given[:4]}****{given[-4:]}"
        message = f"Incorrect API key provided: {shown}."
        return Refusal(401, message, code="invalid_api_key").reply()

    def submissions(self) -> tuple[Submission, ...]:
        """Return the truth about every batch ever created, oldest first."""
        with self.lock:
            now = self.clock()
            self._batches.settle(now)
            return tuple(
                truth.submission(
                    life, self._files.stored, self._fetched, now, self._excused.get(life.id, {})
                )
                for life in self._batches.lives.values()
            )

    def asked(self) -> list[str]:
        """Return the first custom_id of every batch ever created, oldest first."""
        return [life.rows[0].custom_id for life in self._batches.lives.values() if life.rows]

    def files(self) -> tuple[StoredFile, ...]:
        """Return every file the provider ever had, deleted ones included."""
        with self.lock:
            self._batches.settle(self.clock())
            return tuple(self._files.stored.values())

    def content(self, file_id: str) -> bytes:
        """Return a file's bytes, whatever its visibility; raises KeyError."""
        with self.lock:
            self._batches.settle(self.clock())
            return self._files.stored[file_id].content.whole()

    def paid(self, run: Callable[[str], str] = truth.run_of) -> Counter[tuple[str | None, str]]:
        """Count how often each request of each run was answered well: (run, custom_id)."""
        return truth.paid(self.submissions(), run)

    def check_exactly_once(self, run: Callable[[str], str] = truth.run_of) -> None:
        """Assert that nothing was submitted without need: see `truth`."""
        truth.check_exactly_once(self.submissions(), run)

    def check_nothing_lost(self, asked: Iterable[str]) -> None:
        """Assert that each of these custom_ids was in a batch that did not fail whole."""
        truth.check_nothing_lost(self.submissions(), asked)

    def check_uploads_once(self) -> None:
        """Assert that no file was uploaded under the same name twice."""
        truth.check_uploads_once(self.files())

    def excuse(self, rows: Iterable[str], *, unended: bool = False) -> None:
        """Let the user pay again for these rows of all batches whose results are withheld.

        With `unended` for those of batches in flight as well.
        """
        wanted, now = set(rows), self.clock()
        for one in self.submissions():
            if one.withheld is not None or (unended and one.in_flight(now)):
                excused = self._excused.setdefault(one.batch_id, {})
                for row in wanted.intersection(one.rows):
                    excused.setdefault(row, now)

    def calls(self, method: str, path: str) -> list[Exchange]:
        """Return the logged exchanges of one kind; a `path` ending in `*` is a beginning."""
        return [
            exchange
            for exchange in self.requests
            if exchange.method == method
            and (
                exchange.path.startswith(path[:-1]) if path.endswith("*") else exchange.path == path
            )
        ]


def _each(behaviour: Behaviours | Behaviour | None) -> Behaviours:
    if behaviour is None or isinstance(behaviour, Behaviour):
        return same(behaviour or Behaviour())
    return behaviour
