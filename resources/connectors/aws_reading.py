"""Many records, each of which is an answer of its own: several asked for at once, handed on in pages.

What belongs here: how single records become pages, and the texts of records put together. What does not: what is asked.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from resources.connectors.aws_errors import Throttled
from resources.connectors.base import BudgetSpent, Page

RECORDS_A_PAGE = 100
AFTER_THROTTLING = timedelta(hours=1)
"""When a sync goes on that AWS did not let finish: its days are the last 24 hours, so something is free again then."""

AHEAD = 4
"""Records asked for ahead of their turn, for each one under way: the list that they come from is read meanwhile."""

Read = Callable[[str], tuple[bytes, datetime] | None]
"""One record's text and when the request for it began; None if it is gone."""


def read_each(ids: Iterable[str], read: Read, at_once: int) -> Iterator[Page]:
    """The records of these ids, `at_once` of them under way; ids are taken as they are needed.

    Raises:
        BudgetSpent: after the pages that were still read; also for throttling that does not end, once there are records to
            keep. Other errors at once.
    """
    waiting: deque[Future[tuple[bytes, datetime] | None]] = deque()
    records: list[Any] = []
    begun: list[datetime] = []
    stop: BudgetSpent | None = None
    any_found = False
    source = iter(ids)
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="aws-get")
    try:
        while True:
            while stop is None and source is not None and len(waiting) < AHEAD * at_once:
                try:
                    following = next(source, None)
                except BudgetSpent as spent:
                    stop = spent
                    break
                if following is None:
                    source = None
                    break
                waiting.append(pool.submit(read, following))
            if not waiting:
                break
            try:
                found = waiting.popleft().result()
            except BudgetSpent as spent:
                stop = stop or spent
                continue
            except Throttled as error:
                if not any_found:
                    raise
                stop = stop or BudgetSpent(str(error), datetime.now(UTC) + AFTER_THROTTLING)
                continue
            if found is not None:
                any_found = True
                records.append(found[0])
                begun.append(found[1])
            if len(records) >= RECORDS_A_PAGE:
                yield Page(records, min(begun))
                records, begun = [], []
        if records:
            yield Page(records, min(begun))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if stop is not None:
        raise stop


def with_members(text: bytes, **added: bytes) -> bytes:
    """The text of a JSON object with further members, without decoding it.

    Raises:
        ValueError: the text is no object.
    """
    head = text.rstrip()
    if not head.startswith(b"{") or not head.endswith(b"}"):
        raise ValueError("a JSON object is expected")
    inner = head[1:-1].strip()
    more = b",".join(b'"%s":%s' % (name.encode(), value) for name, value in added.items())
    return b"{" + (inner + b"," if inner else b"") + more + b"}"
