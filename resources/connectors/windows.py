"""Reading a table whose source takes a lower and an upper bound of the modification time: several spans of time side by side.

A source hands out the pages of one request chain one after the other, so one chain is as fast as its answers' latency. Here a
chain that is far from its end gives the later half of what is left to a worker that is idle; where records lie in time need not
be known beforehand. What belongs here: which span is read by whom. What does not: how a source is asked.
"""

import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from resources.connectors.base import BudgetSpent, Page, Window

SPLIT_ABOVE_PAGES = 3.0
"""A chain is split only if more than so many pages are expected to be left of it: each split costs up to one page more."""

OVERHEAD = 0.05
"""Splits beyond the first ones may be this share of the pages read."""

SECOND = timedelta(seconds=1)
"""Sources take bounds in whole seconds; an import may give thousands of records one of them."""

OLDEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Span:
    """Times [lo, hi) to read; an end open where None. `part`: of which of a table's lists, where it has several."""

    lo: datetime | None = None
    hi: datetime | None = None
    part: str = ""


@dataclass(frozen=True)
class Step:
    """One page of a chain. `began`, `reached`: the modification times of its first and last record (None: they have none);
    `last`: no page follows."""

    page: Page
    began: datetime | None
    reached: datetime | None
    last: bool = False


ReadSpan = Callable[[Span], Iterator[Step]]
"""Reads one span by ascending modification time, page by page. `span.hi` may get lower meanwhile; pages beyond it are not
asked for."""


def spans_of(window: Window, parts: Iterable[str] = ("",)) -> list[Span]:
    """What `window` asks for of each part, what an earlier sync left unread (`rest`) included.

    Raises:
        ValueError: `rest` was not written by `read_side_by_side`.
    """
    left = [Span(_moment(lo), _moment(hi), part) for lo, hi, part in json.loads(window.rest or "[]")]
    return [*left, *(Span(window.lo, window.hi, part) for part in parts)]


def read_side_by_side(spans: Sequence[Span], read: ReadSpan, now: datetime, at_once: int) -> Iterator[Page]:
    """The pages of all `spans`, as they come. Records next to where a span was split may come twice.

    Parameters:
        now: the source's clock: up to where there may be records in a span without an end.
        at_once: chains read at the same time.

    Raises:
        BudgetSpent: after the pages that were still read; its `rest` says what is left.
    """
    yield from _Reading(list(spans), read, now, at_once).pages()


class _Chain:
    """A span while it is read."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.began: datetime | None = None
        self.reached = span.lo
        self.pages = 0
        """Those in which time went on."""
        self.last = self.done = False
        self.standing = False
        """The last page was all of one moment, and what follows that moment is not yet another chain's."""

    def step(self, step: Step) -> None:
        self.standing = not step.last and step.began is not None and step.began == step.reached
        self.pages += not self.standing
        self.began = self.began or step.began
        self.last = step.last
        if step.reached is not None:
            self.reached = max(self.reached or step.reached, step.reached)

    def seconds_left(self, now: datetime) -> float:
        end = min(self.span.hi, now) if self.span.hi else now
        return (end - (self.reached or OLDEST)).total_seconds()

    def seconds_read(self) -> float:
        return (self.reached - self.began).total_seconds() if self.reached and self.began else 0.0

    def pages_left(self, now: datetime, usual: float) -> float:
        """A guess, from how densely the records lie in what was read of it; `usual`: pages a second elsewhere."""
        if self.last or self.reached is None or self.began is None:
            return 0.0
        density = self.pages / max(self.seconds_read(), 1.0) if self.pages else usual
        return max(0.0, self.seconds_left(now)) * density


class _Reading:
    def __init__(self, spans: list[Span], read: ReadSpan, now: datetime, at_once: int) -> None:
        self._todo = list(reversed(spans))
        self._read, self._now, self._at_once = read, now, at_once
        self._chains: list[_Chain] = []
        self._changed = threading.Condition()
        self._splits = self._pages = 0
        self._out: queue.Queue[Page | None] = queue.Queue(maxsize=2 * at_once)
        self._failure: BaseException | None = None
        self._stopped = False

    def pages(self) -> Iterator[Page]:
        pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="spans")
        workers = [pool.submit(self._work) for _ in range(self._at_once)]
        ended = 0
        try:
            while ended < len(workers):
                page = self._out.get()
                if page is None:
                    ended += 1
                else:
                    yield page
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            while any(not worker.done() for worker in workers):
                try:  # a worker may be waiting to hand over a page that nobody wants any more
                    self._out.get(timeout=0.05)
                except queue.Empty:
                    continue
            pool.shutdown()
        if isinstance(self._failure, BudgetSpent):
            raise BudgetSpent(str(self._failure), self._failure.resumes_at, self._rest())
        if self._failure is not None:
            raise self._failure

    def _rest(self) -> str:
        left = [replace(chain.span, lo=chain.reached) for chain in self._chains if not chain.done]
        left += reversed(self._todo)
        return json.dumps([[_text(span.lo), _text(span.hi), span.part] for span in left])

    def _work(self) -> None:
        try:
            while (chain := self._next_chain()) is not None:
                self._read_chain(chain)
        except BaseException as error:
            with self._changed:
                self._failure = self._failure or error
                self._stopped = True
                self._changed.notify_all()
        finally:
            self._out.put(None)

    def _read_chain(self, chain: _Chain) -> None:
        for step in self._read(chain.span):
            self._out.put(step.page)
            with self._changed:
                chain.step(step)
                self._pages += 1
                passed = chain.span.hi is not None and chain.reached is not None and chain.reached >= chain.span.hi
                self._changed.notify_all()
            if passed:
                break
            if self._stopped:
                return
        with self._changed:
            chain.done = True
            self._changed.notify_all()

    def _next_chain(self) -> _Chain | None:
        with self._changed:
            while not self._stopped:
                span = self._todo.pop() if self._todo else self._split()
                if span is not None:
                    chain = _Chain(span)
                    self._chains.append(chain)
                    return chain
                if all(chain.done for chain in self._chains):
                    return None
                self._changed.wait()
            return None

    def _split(self) -> Span | None:
        """What follows the moment in which a chain stands, because that moment's pages come one after the other anyhow; else the
        later half of what is left of the chain that has most left."""
        active = [chain for chain in self._chains if not chain.done]
        for chain in active:
            if chain.standing and chain.reached is not None and chain.reached + SECOND < self._end(chain):
                chain.standing = False
                return self._give(chain, chain.reached + SECOND)
        if self._splits >= self._at_once - 1 + OVERHEAD * self._pages:
            return None
        seconds = sum(chain.seconds_read() for chain in self._chains)
        usual = sum(chain.pages for chain in self._chains) / max(seconds, 1.0)
        longest: Any = max(active, key=lambda chain: chain.pages_left(self._now, usual), default=None)
        if longest is None or longest.pages_left(self._now, usual) <= SPLIT_ABOVE_PAGES:
            return None
        self._splits += 1
        return self._give(longest, longest.reached + (self._end(longest) - longest.reached) / 2)

    def _give(self, chain: _Chain, begin: datetime) -> Span:
        """The part of a chain's span from `begin` on, which is no longer its own."""
        later = replace(chain.span, lo=begin)
        chain.span.hi = begin
        return later

    def _end(self, chain: _Chain) -> datetime:
        return min(chain.span.hi, self._now) if chain.span.hi else self._now


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
