"""Many records, each of which is an answer of its own: several asked for at once, handed on in pages.

What belongs here: how single records become pages, and the texts of records put together. What does not: what is asked.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from resources.connectors.aws_errors import Throttled
from resources.connectors.base import BudgetSpent, NotPermitted, Page

log = logging.getLogger(__name__)

RECORDS_A_PAGE = 100
AFTER_THROTTLING = timedelta(hours=1)
"""When a sync goes on that AWS did not let finish: its days are the last 24 hours, so something is free again then."""

AHEAD = 4
"""Records asked for ahead of their turn, for each one under way: the list that they come from is read meanwhile."""

MANY_REFUSED = 20
"""After so many refusals and nothing else it is asked whether the table may be read at all."""

Read = Callable[[str], tuple[bytes, datetime] | None]
"""One record's text and when the request for it began; None if it is gone."""

Entry = tuple[str, str | None]
ListAll = Callable[[], Iterator[list[Entry]]]


class Reader:
    """Reads a table's records one by one, `at_once` of them under way, and knows what was listed.

    One record may be refused while others are not. The table may not be read if all that was asked for is refused, and also a
    record that was listed but need not be read.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._listed: dict[str, list[str]] = {}

    def noted(self, table: str, batches: Iterable[list[Entry]]) -> Iterator[list[Entry]]:
        """The batches of a table's list, which are noted as they pass."""
        known = self._listed[table] = []
        for batch in batches:
            known += [record_id for record_id, _ in batch]
            yield batch

    def records(self, table: str, ids: Iterable[str], read: Read, list_all: ListAll) -> Iterator[Page]:
        """The records of these ids, which are taken as they are needed.

        Parameters:
            list_all: the table's whole list; its first batch is asked for where only refused records were listed.

        Raises:
            NotPermitted: none of them may be read, nor another one.
            BudgetSpent: after the pages that were still read; also for throttling that does not end, once there are records to
                keep. Other errors at once.
        """
        waiting: deque[tuple[str, Future[tuple[bytes, datetime] | None]]] = deque()
        records: list[Any] = []
        begun: list[datetime] = []
        refused: list[str] = []
        asked: set[str] = set()
        first_refusal: NotPermitted | None = None
        stop: BudgetSpent | None = None
        any_found = permitted = False
        source = iter(ids)
        pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="aws-get")
        try:
            while True:
                while stop is None and source is not None and len(waiting) < AHEAD * self._at_once:
                    try:
                        following = next(source, None)
                    except BudgetSpent as spent:
                        stop = spent
                        break
                    if following is None:
                        source = None
                        break
                    asked.add(following)
                    waiting.append((following, pool.submit(read, following)))
                if not waiting:
                    break
                record_id, answer = waiting.popleft()
                try:
                    found = answer.result()
                except BudgetSpent as spent:
                    stop = stop or spent
                    continue
                except Throttled as error:
                    if not any_found:
                        raise
                    stop = stop or BudgetSpent(str(error), datetime.now(UTC) + AFTER_THROTTLING)
                    continue
                except NotPermitted as error:
                    first_refusal = first_refusal or error
                    refused.append(record_id)
                    if not permitted and len(refused) >= MANY_REFUSED:
                        permitted = self._another_may_be_read(table, asked, read, list_all, first_refusal)
                    continue
                permitted = True
                if found is not None:
                    any_found = True
                    records.append(found[0])
                    begun.append(found[1])
                if len(records) >= RECORDS_A_PAGE:
                    yield Page(records, min(begun))
                    records, begun = [], []
            if first_refusal is not None:
                if not permitted and stop is None:
                    self._another_may_be_read(table, asked, read, list_all, first_refusal)
                log.warning("%s Left out: %s", first_refusal, _some(refused))
            if records or refused:
                yield Page(records, min(begun, default=datetime.now(UTC)), refused_ids=tuple(refused))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if stop is not None:
            raise stop

    def _another_may_be_read(
        self, table: str, asked: set[str], read: Read, list_all: ListAll, refusal: NotPermitted
    ) -> bool:
        """True, or `refusal` is raised: of the others that a list tells of, the last one is tried."""
        another = _not_in(asked, self._listed.get(table, ()))
        try:
            another = another or _not_in(asked, [record_id for record_id, _ in next(list_all(), [])])
            if another is None:
                raise refusal
            read(another)
        except NotPermitted:
            raise refusal from None
        return True


def _not_in(asked: set[str], ids: Sequence[str]) -> str | None:
    return next((one for one in reversed(ids) if one not in asked), None)


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:10]) + (f" and {len(ids) - 10} others" if len(ids) > 10 else "")


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
