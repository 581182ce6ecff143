"""Spans of time read side by side: every record comes, few more requests than one chain needs, and a stop says what is left."""

import bisect
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.connectors.base import BudgetSpent, Page, TransientError, Window
from resources.connectors.windows import Span, Step, read_side_by_side, spans_of

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=100)


class Server:
    """Records at times, in pages; counts requests."""

    def __init__(self, seconds: list[int], page_size: int = 10, allowed: int | None = None) -> None:
        self.times = sorted(START + timedelta(seconds=second) for second in seconds)
        self.page_size, self.allowed = page_size, allowed
        self.requests = 0
        self.lock = threading.Lock()
        self.together = threading.Barrier(1)

    def read(self, span: Span) -> Iterator[Step]:
        place = 0 if span.lo is None else bisect.bisect_left(self.times, span.lo)
        hi = span.hi  # the request's own: a server does not know that the span was cut meanwhile
        end = len(self.times) if hi is None else bisect.bisect_left(self.times, hi)
        while True:
            with self.lock:
                if self.allowed is not None and self.requests >= self.allowed:
                    raise BudgetSpent("spent", NOW)
                self.requests += 1
            numbers = list(range(place, min(place + self.page_size, end)))
            place += self.page_size
            page = Page([{"id": number} for number in numbers], NOW)
            times = [self.times[number] for number in numbers]
            yield Step(page, times[0] if times else None, times[-1] if times else None, last=place >= end)
            if place >= end:
                return


def ids(pages: Iterator[Page]) -> list[int]:
    return [record["id"] for page in pages for record in page.records]


def read_all(server: Server, window: Window, at_once: int = 4) -> set[int]:
    return set(ids(read_side_by_side(spans_of(window), server.read, NOW, at_once)))


def most_requests(full_pages: float, at_once: int) -> float:
    """Each split ends one chain and begins another within a page, so it costs up to two; of how many there may be, see
    `windows.OVERHEAD`. Where threads happen to split decides what is really needed."""
    return full_pages * 1.1 + 2 * at_once


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(0, 100 * 86_400 - 1), max_size=400),
    st.integers(1, 6),
    st.one_of(st.none(), st.integers(0, 50)),
    st.one_of(st.none(), st.integers(50, 101)),
)
def test_every_record_of_the_window_comes(seconds: list[int], at_once: int, lo: int | None, hi: int | None) -> None:
    server = Server(seconds)
    begin = None if lo is None else START + timedelta(days=lo)
    end = None if hi is None else START + timedelta(days=hi)
    wanted = {
        number for number, at in enumerate(server.times) if (begin is None or at >= begin) and (end is None or at < end)
    }
    assert read_all(server, Window(begin, end), at_once) == wanted


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 100 * 86_400 - 1), min_size=50, max_size=400, unique=True), st.integers(4, 12))
def test_what_a_spent_budget_left_is_read_by_the_next_sync(seconds: list[int], allowed: int) -> None:
    server = Server(seconds, allowed=allowed)
    found: set[int] = set()
    window = Window()
    for _ in range(200):
        try:
            for page in read_side_by_side(spans_of(window), server.read, NOW, 3):
                found |= {record["id"] for record in page.records}
            break
        except BudgetSpent as stop:
            window = Window(NOW, None, rest=stop.rest or "")
            server.requests = 0
    assert found == set(range(len(server.times)))


def test_more_chains_cost_at_most_a_tenth_more_requests() -> None:
    crowded = [day * 86_400 + second for day in range(100) for second in range(day * day // 2)]
    for seconds in (list(range(0, 8_000_000, 160)), crowded):
        server = Server(seconds, page_size=500)
        assert len(read_all(server, Window())) == len(seconds)
        assert server.requests <= most_requests(len(seconds) / 500, at_once=4)


def test_few_records_take_one_request() -> None:
    server = Server([86_400 * 90 + second for second in range(9)])
    assert len(read_all(server, Window(START + timedelta(days=1)))) == 9
    assert server.requests == 1


def test_thousands_of_records_of_one_second_come_once_each_or_more() -> None:
    server = Server([5_000_000] * 3_000 + list(range(0, 8_000_000, 8_000)), page_size=100)
    assert len(read_all(server, Window())) == 4_000


def test_a_failure_is_raised_after_the_pages_before_it() -> None:
    server = Server(list(range(100)))

    def failing(span: Span) -> Iterator[Step]:
        for number, step in enumerate(server.read(span)):
            if number == 3:
                raise TransientError("gone")
            yield step

    pages = read_side_by_side([Span()], failing, NOW, 1)
    assert [record["id"] for page in (next(pages), next(pages), next(pages)) for record in page.records] == list(
        range(30)
    )
    with pytest.raises(TransientError, match="gone"):
        next(pages)


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    server = Server(list(range(0, 8_000_000, 1_000)))
    pages = read_side_by_side([Span()], server.read, NOW, 4)
    next(pages)
    pages.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("spans")]


def test_what_follows_an_import_of_one_second_does_not_wait_for_its_pages() -> None:
    day = 86_400
    server = Server([10 * day] * 300 + [20 * day + number for number in range(100)])
    another_began = threading.Event()

    def read(span: Span) -> Iterator[Step]:
        if span.lo is not None and span.lo > START + timedelta(days=10):
            another_began.set()
        for number, step in enumerate(server.read(span)):
            yield step
            if number == 3 and span.lo is None:
                assert another_began.wait(10)

    pages = read_side_by_side([Span()], read, NOW, at_once=2)
    assert set(ids(pages)) == set(range(400))
    assert server.requests <= most_requests(40, at_once=2)
