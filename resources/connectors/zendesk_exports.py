"""How Zendesk hands out a table: exports by cursor, exports by time, lists.

What belongs here: which request follows which, so that nothing is lost and nothing loops. What does not: days and tables
(`zendesk`), single requests (`zendesk_api`).

    by cursor   the opaque cursor of the last page, also of the last sync. Nothing can be lost, one request after the other.
    by time     each page begins with the second in which the last one ended. A second with more records than a page stays where
                it is for ever: the rest of it is read in another way, and the export goes on with the next second.
    lists       by cursor; `links.next` is there even at the end, so only `meta.has_more` counts.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from resources.connectors.base import BudgetSpent, TransientError
from resources.connectors.zendesk_api import Answer, Api, CursorRefused
from resources.http import SlowAnswer

LIST_PAGE = 100
SMALLEST_PAGE = 100
"""An export that answers too slowly is asked for half as much, down to this."""
REPEATS = 3
"""So often the same page may come again before the table fails."""

RestOfSecond = Callable[[int], Iterator[Answer]]


class _Steps:
    """Notices an export or a list that does not move on."""

    def __init__(self, api: Api, table: str) -> None:
        self._where, self._asked = api.http.where(table), Counter[str]()

    def to(self, place: str) -> str:
        """`place` again, unless it was asked for too often."""
        self._asked[place] += 1
        if self._asked[place] > REPEATS:
            raise TransientError(
                f"{self._where}: Zendesk answers the same page again and again; the next sync tries it anew."
            )
        return place


def cursor_export(api: Api, table: str, begin: str | int, size: int) -> Iterator[Answer]:
    """All pages of `incremental/<table>/cursor`.

    Parameters:
        begin: a cursor, or the Unix second to start from.
        size: records a page.

    Raises:
        CursorRefused: `begin` or a later cursor is not taken.
    """
    steps, params = _Steps(api, table), {"cursor": begin} if isinstance(begin, str) else {"start_time": begin}
    while True:
        try:
            answer = api.page(table, f"incremental/{table}/cursor", table, **params, per_page=size)
        except SlowAnswer:
            if size <= SMALLEST_PAGE:
                raise
            size = max(SMALLEST_PAGE, size // 2)
            continue
        yield answer
        if answer.end_of_stream:
            return
        if answer.after_cursor is None:
            raise TransientError(f"{api.http.where(table)}: an export that is not at its end gave no cursor")
        params = {"cursor": steps.to(answer.after_cursor)}


def time_export(
    api: Api, table: str, start: int, size: int, rest_of_second: RestOfSecond, latest: Callable[[], int]
) -> Iterator[Answer]:
    """All pages of `incremental/<table>` from the Unix second `start` on; some records come twice.

    Parameters:
        rest_of_second: gives at least the records of a second that holds more than a page.
        latest: the last second that may be asked for now.

    Raises:
        BudgetSpent: its `rest` is the second to go on from.
    """
    steps = _Steps(api, table)
    while True:
        try:
            answer = api.page(table, f"incremental/{table}", table, start_time=start, per_page=size)
            yield answer
            if answer.end_of_stream or not answer.records:
                return
            if answer.end_time is None:
                raise TransientError(f"{api.http.where(table)}: an export that is not at its end gave no end_time")
            if answer.end_time > start:
                start = answer.end_time
            elif answer.end_time == start:
                yield from rest_of_second(start)
                start += 1
                if start > latest():  # what follows is held back, and the next sync's
                    return
            else:  # a page from before, repeated
                steps.to(str(start))
        except BudgetSpent as stop:
            raise BudgetSpent(str(stop), stop.resumes_at, str(start)) from None


def listed(api: Api, table: str, path: str | None = None, **params: int) -> Iterator[Answer]:
    """All pages of a list, or of an export that is paged like one; from its beginning if a cursor is refused.

    Parameters:
        path: if it is not the table's name.
    """
    steps, after, begun_anew = _Steps(api, table), {}, False
    while True:
        try:
            answer = api.page(table, path or table, table, **params, **after, page_size=LIST_PAGE)
        except CursorRefused:
            if begun_anew:
                raise
            after, begun_anew = {}, True
            continue
        yield replace(answer, by_time=path is not None)
        if not answer.has_more:
            return
        if answer.after_cursor is None:
            raise TransientError(f"{api.http.where(table)}: a list that has more gave no cursor")
        after = {"page_after": steps.to(answer.after_cursor)}
