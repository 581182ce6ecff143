"""What each kind of address answers: pages of exports and of lists, and the errors, in Zendesk's own form.

The texts of 400 and 422 are INVENTED in their wording (their shape is recorded on other addresses), and so is the order in which
events are listed by cursor.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.responses import Response

from sandbox.zendesk.account import Account
from sandbox.zendesk.cursors import BadCursor, export_cursor, list_cursor, read_export_cursor, read_list_cursor
from sandbox.zendesk.table import Record, dumps

HOLD_BACK = 60
"""Seconds that exports keep back what just changed."""
PAGE, LIST_PAGE, LAST_OFFSET_PAGE = 1000, 100, 100
_ALL = 1 << 62


@dataclass
class Answer:
    """A response, how many records it holds, and what a request for the page behind it names."""

    response: Response
    rows: int = 0
    next: str | None = None


def error(status: int, name: str, description: str) -> Answer:
    """The envelope most errors come in."""
    return Answer(Response(dumps({"error": name, "description": description}), status, media_type="application/json"))


def not_found() -> Answer:
    """As recorded."""
    return error(404, "RecordNotFound", "Not found")


def forbidden() -> Answer:
    """Who is no admin gets this from exports."""
    message = (
        "You do not have access to this page. Please contact the account owner of this help desk for further help."
    )
    body = {"error": {"title": "Forbidden", "message": message}}
    return Answer(Response(dumps(body), 403, media_type="application/json"))


def unauthorized() -> Answer:
    """A login that is none."""
    return Answer(Response(dumps({"error": "Couldn't authenticate you"}), 401, media_type="application/json"))


def bad_cursor() -> Answer:
    """A cursor that is none, or one too old."""
    return error(400, "InvalidValue", "Invalid cursor")


def _page(name: str, texts: bytes, rest: Record, rows: int) -> Answer:
    body = b'{"%b":[%b],%b' % (name.encode(), texts, dumps(rest)[1:])
    behind = rest.get("after_cursor") or rest.get("end_time") or rest.get("meta", {}).get("after_cursor")
    return Answer(Response(body, media_type="application/json"), rows, None if behind is None else str(behind))


def _number(query: Mapping[str, str], name: str, usual: int, most: int) -> int:
    """A page size; one too large is cut down."""
    text = query.get(name, "")
    return max(1, min(int(text), most)) if text.isdecimal() else usual


def _start(account: Account, query: Mapping[str, str]) -> int | Answer:
    text = query.get("start_time", "")
    if not text:
        return error(400, "StartTimeMissing", "Missing parameter: Required parameter 'start_time' is missing")
    if not text.lstrip("-").isdecimal():
        return error(400, "InvalidValue", "Invalid start_time: not a Unix timestamp")
    if int(text) > account.now() - HOLD_BACK:
        return error(422, "InvalidValue", "Too recent start_time. Use a start_time older than 1 minute")
    return int(text)


def cursor_export(account: Account, entity: str, query: Mapping[str, str], root: str) -> Answer:
    """`/incremental/<entity>/cursor.json`: from a start_time, or on from a cursor."""
    size = _number(query, "per_page", PAGE, PAGE)
    cursor = query.get("cursor")
    if cursor is not None:
        try:
            key = read_export_cursor(cursor)
        except BadCursor:
            return bad_cursor()
    else:
        start = _start(account, query)
        if isinstance(start, Answer):
            return start
        key = (start - 1, _ALL)
    table = account.tables[entity]
    keys, more = table.after(key, account.now() - HOLD_BACK, size)
    if keys:
        cursor = export_cursor(*keys[-1])
    more_query = {"per_page": size} if "per_page" in query else {}
    after = (
        None
        if cursor is None
        else f"{root}/incremental/{entity}/cursor.json?{urlencode({'cursor': cursor, **more_query})}"
    )
    rest = {
        "after_url": after,
        "before_url": None,
        "after_cursor": cursor,
        "before_cursor": None,
        "end_of_stream": not more,
    }
    ids = [record_id for _, record_id in keys]
    if query.get("exclude_deleted") == "true":
        listed = set(table.listed)
        ids = [record_id for record_id in ids if record_id in listed]
    return _page(entity, table.join(ids), rest, len(ids))


def time_export(account: Account, entity: str, query: Mapping[str, str], root: str) -> Answer:
    """`/incremental/<entity>.json`: from a second on, that second included; so a second with more rows than a page has is
    where it stays for ever."""
    start = _start(account, query)
    if isinstance(start, Answer):
        return start
    size = _number(query, "per_page", PAGE, PAGE)
    table = account.tables[entity]
    keys, more = table.after((start - 1, _ALL), account.now() - HOLD_BACK, size)
    end = keys[-1][0] if keys else None
    more_query = {"per_page": size} if "per_page" in query else {}
    next_page = (
        None if end is None else f"{root}/incremental/{entity}.json?{urlencode({'start_time': end, **more_query})}"
    )
    rest = {"count": len(keys), "end_of_stream": not more, "next_page": next_page, "end_time": end}
    return _page(entity, table.join(record_id for _, record_id in keys), rest, len(keys))


def event_pages(account: Account, query: Mapping[str, str], root: str) -> Answer:
    """`/incremental/ticket_metric_events.json?page[size]=100`: the same events, behind a cursor."""
    start = _start(account, query)
    if isinstance(start, Answer):
        return start
    key: tuple[int, int] = (start - 1, _ALL)
    if after := query.get("page[after]"):
        try:
            key = read_list_cursor("time,id", after)  # type: ignore[assignment]
        except BadCursor:
            return bad_cursor()
    size = _number(query, "page[size]", LIST_PAGE, LIST_PAGE)
    table = account.tables["ticket_metric_events"]
    keys, more = table.after(key, account.now() - HOLD_BACK, size)
    paging = _paging(
        "time,id", keys, f"{root}/incremental/ticket_metric_events.json", size, more, {"start_time": str(start)}
    )
    return _page(table.name, table.join(record_id for _, record_id in keys), paging, len(keys))


def _paging(order: str, keys: list, address: str, size: int, more: bool, also: dict[str, str]) -> Record:
    """`meta` and `links`; the links are there even where nothing follows, as recorded."""
    before, after = (list_cursor(order, *keys[at]) if keys else None for at in (0, -1))

    def link(side: str, cursor: str | None) -> str | None:
        return (
            None if cursor is None else f"{address}?{urlencode({**also, f'page[{side}]': cursor, 'page[size]': size})}"
        )

    return {
        "meta": {"has_more": more, "after_cursor": after, "before_cursor": before},
        "links": {"prev": link("before", before), "next": link("after", after)},
    }


def listing(account: Account, entity: str, query: Mapping[str, str], root: str) -> Answer:
    """`/<entity>.json`: by cursor where `page[size]` asks for it, else by page number; deleted records and archived
    tickets are not in it."""
    table = account.tables[entity]
    whole = entity == "groups" and query.get("exclude_deleted") == "false"
    ids = sorted(table.texts) if whole else table.listed
    if entity == "groups":
        named = sorted((table.get(record_id)["name"] or "", record_id) for record_id in ids)
        ids = [record_id for _, record_id in named]
    if "page[size]" in query or "page[after]" in query:
        return _listed_by_cursor(account, entity, ids, query, root)
    unpaged = entity in ("ticket_fields", "ticket_forms")
    size = max(1, len(ids)) if unpaged else _number(query, "per_page", LIST_PAGE, LIST_PAGE)
    page = _number(query, "page", 1, _ALL)
    if page > LAST_OFFSET_PAGE and not unpaged:
        return error(400, "InvalidValue", "Pagination limit reached for offset model")
    part = ids[(page - 1) * size : page * size]
    address = f"{root}/{entity}.json?page="
    rest = {
        "next_page": f"{address}{page + 1}" if page * size < len(ids) else None,
        "previous_page": f"{address}{page - 1}" if page > 1 else None, "count": len(ids),
    }  # fmt: skip
    return _page(entity, _as_listed(account, entity, part), rest, len(part))


def _listed_by_cursor(account: Account, entity: str, ids: list[int], query: Mapping[str, str], root: str) -> Answer:
    order = {"groups": "name,id", "tickets": "nice_id"}.get(entity, "id")
    table = account.tables[entity]
    keys = [(table.get(number)["name"] or "", number) for number in ids] if entity == "groups" else None
    begin = 0
    if after := query.get("page[after]"):
        try:
            behind = read_list_cursor(order, after)
        except BadCursor:
            return bad_cursor()
        begin = bisect_right(ids, behind[0]) if keys is None else bisect_right(keys, behind)  # type: ignore[type-var]
    size = _number(query, "page[size]", LIST_PAGE, LIST_PAGE)
    part = ids[begin : begin + size]
    shown = [(number,) for number in part] if keys is None else keys[begin : begin + size]
    also = {"exclude_deleted": "false"} if query.get("exclude_deleted") == "false" else {}
    paging = _paging(order, shown, f"{root}/{entity}.json", size, begin + size < len(ids), also)
    return _page(entity, _as_listed(account, entity, part), paging, len(part))


def by_ids(account: Account, entity: str, query: Mapping[str, str]) -> Answer:
    """`/<entity>/show_many.json?ids=1,2`: at most a hundred, those there are."""
    wanted = [int(text) for text in query.get("ids", "").split(",") if text.isdecimal()]
    if len(wanted) > LIST_PAGE:
        body = {
            "error": "TooManyValues",
            "description": "Parameter  cannot specify more than 100 values",
            "max_count": 100,
        }
        return Answer(Response(dumps(body), 400, media_type="application/json"))
    table = account.tables[entity]
    found = [record_id for record_id in wanted if record_id in table.texts and account.is_there(entity, record_id)]
    rest = {"next_page": None, "previous_page": None, "count": len(found)}
    return _page(entity, _as_listed(account, entity, found), rest, len(found))


_EXPORT_ONLY = {"tickets": ("fields", "generated_timestamp"), "organizations": ("deleted_at",)}


def _as_listed(account: Account, entity: str, ids: list[int]) -> bytes:
    """Records without what only exports show."""
    table = account.tables[entity]
    if entity not in _EXPORT_ONLY:
        return table.join(ids)
    shown = [table.get(record_id) for record_id in ids]
    for record in shown:
        for key in _EXPORT_ONLY[entity]:
            record.pop(key, None)
    return b",".join(map(dumps, shown))
