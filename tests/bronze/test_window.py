"""Whatever days are synced in whatever order: nothing that was modified is ever beyond the reach of the next sync."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.bronze.window import day_bounds, next_watermark, window_of
from resources.connectors.base import Window

OVERLAP = timedelta(minutes=10)
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
DAY = NOON.date()


def test_a_first_sync_reads_everything() -> None:
    assert window_of(DAY, DAY, None, OVERLAP) == Window(None, None)


def test_a_first_sync_of_a_past_day_ends_with_that_day() -> None:
    end = datetime(2026, 3, 9, tzinfo=UTC)
    assert window_of(date(2026, 3, 8), DAY, None, OVERLAP) == Window(None, end)


def test_today_begins_at_midnight_or_at_an_older_watermark_less_the_overlap() -> None:
    midnight = datetime(2026, 3, 9, tzinfo=UTC)
    assert window_of(DAY, DAY, NOON, OVERLAP) == Window(midnight - OVERLAP, None)
    old = NOON - timedelta(days=3)
    assert window_of(DAY, DAY, old, OVERLAP) == Window(old - OVERLAP, None)


def test_a_past_day_is_read_again_whole() -> None:
    start, end = day_bounds(date(2026, 3, 7))
    assert window_of(date(2026, 3, 7), DAY, NOON, OVERLAP) == Window(start - OVERLAP, end)


def test_the_watermark_never_goes_back() -> None:
    assert next_watermark(date(2026, 3, 7), NOON, NOON + timedelta(hours=1)) == NOON
    assert next_watermark(DAY, NOON, NOON + timedelta(hours=1)) == NOON + timedelta(hours=1)
    assert next_watermark(date(2026, 3, 8), None, NOON) == datetime(2026, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize("cursor", [None, "token"])
def test_the_sources_own_token_goes_into_the_window(cursor: str | None) -> None:
    assert window_of(DAY, DAY, NOON, OVERLAP, cursor).cursor == cursor


@dataclass
class _Record:
    modified: datetime
    visible_at: datetime
    captured: bool = False


_SECONDS = st.floats(0.001, 3 * 86400)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 4), st.floats(0, OVERLAP.total_seconds() - 2)),
        st.tuples(st.just("wait"), _SECONDS, st.none()),
        st.tuples(st.just("sync"), st.integers(0, 6), st.sampled_from(["whole", "fails", "moves"])),
    ),
    max_size=40,
)


@given(_STEPS, st.floats(-86400, 86400))
@settings(max_examples=300, deadline=None)
def test_every_modification_is_captured_or_inside_the_next_window(
    steps: list[tuple[str, float, object]], skew: float
) -> None:
    """A world of five records. They are written (and become visible up to the overlap later, as a long transaction's do),
    days are synced in any order, some syncs fail, in some a record moves after it was passed. Our clock and the source's
    differ by `skew`.
    """
    now = NOON
    records: dict[int, _Record] = {}
    watermark: datetime | None = None

    def window(day: date, today: date) -> Window:
        return window_of(day, today, watermark, OVERLAP)

    def reaches(some: Window, record: _Record) -> bool:
        lo = some.lo.replace(microsecond=0) if some.lo else None
        return (lo is None or record.modified >= lo) and (some.hi is None or record.modified < some.hi)

    for what, first, second in steps:
        our_today = (now + timedelta(seconds=skew)).date()
        if what == "wait":
            now += timedelta(seconds=first)
        elif what == "write":
            assert isinstance(second, float)
            records[int(first)] = _Record(now, now + timedelta(seconds=second))
        else:
            day = our_today - timedelta(days=int(first))
            server_time = now.replace(microsecond=0)
            read = window(day, our_today)
            for record in records.values():
                if record.visible_at <= now and reaches(read, record) and second != "fails":
                    record.captured = True
            if second == "moves":
                now += timedelta(seconds=5)
                for record in records.values():
                    record.modified, record.visible_at, record.captured = now, now, False
                now += timedelta(seconds=5)
            if second != "fails":
                watermark = next_watermark(day, watermark, server_time)
        today = (now + timedelta(seconds=skew)).date()
        for record in records.values():
            assert record.captured or reaches(window(today, today), record)
