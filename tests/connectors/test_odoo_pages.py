"""Paging alone: whatever moves between pages, and whatever an unusual server does."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.connecting import connect as connect_to
from resources.connectors.base import Column, PermanentError, TableSchema
from resources.connectors.odoo import OdooSource
from resources.connectors.odoo_labels import Labels
from resources.connectors.odoo_pages import SMALLEST_PAGE, PageReader
from resources.connectors.odoo_rpc import Reply
from resources.http import SlowAnswer
from sandbox.server import Sandbox
from tests.connectors.conftest import DATABASE, Connect, ids, read
from tests.connectors.scripted_server import Answer, Asked, serving

SCHEMA = TableSchema("crm_lead", "crm.lead", (Column("id", "integer", "integer"),), modified_column="write_date")
NAMES: dict[str, str | None] = {"tenant": "t", "source": "odoo", "table": "crm_lead"}


class Server:
    """A model with one moving part: which ids lie in the window. After each page, `happens` may change that."""

    protocol, version, uid = "test", "17.0", 2

    def __init__(self, in_window: set[int], happens: Callable[["Server"], None] = lambda server: None) -> None:
        self.in_window, self.happens = in_window, happens
        self._lock = threading.Lock()
        self.limits: list[int] = []
        self.lists = 0
        self.slow_above: int | None = None

    def call(self, model: str, method: str, table: str | None = None, domain: Any = None, **named: Any) -> Reply:
        limit, after = named["limit"], domain[-1][2]
        found = {value for value in self.in_window if value > after}
        for field, operator, value in domain[:-1]:
            if (field, operator) == ("id", "in"):
                found &= set(value)
        with self._lock:
            if method == "search":
                self.lists += 1
                self.happens(self)
                return Reply(sorted(found)[:limit], datetime.now(UTC), 0.0)
            self.limits.append(limit)
            if self.slow_above is not None and limit > self.slow_above:
                raise SlowAnswer("too slow.")
            self.happens(self)
            return Reply([{"id": value} for value in sorted(found)[:limit]], datetime.now(UTC), 0.0)

    def fields(self, model: str, table: str | None = None) -> dict[str, dict[str, Any]]:
        return {"id": {"type": "integer"}}

    def read(self, page_size: int) -> list[int]:
        reader = PageReader(self, Labels(), SCHEMA, page_size, NAMES)
        return [record["id"] for page in reader.pages([("write_date", ">=", "x")]) for record in page.records]


sets = st.sets(st.integers(1, 60), max_size=40)


@given(start=sets, events=st.lists(st.tuples(sets, sets), max_size=20), page_size=st.integers(1, 20))
def test_what_stays_in_the_window_is_read_exactly_once(
    start: set[int], events: list[tuple[set[int], set[int]]], page_size: int
) -> None:
    stayed, seen_at_all = set(start), set(start)
    waiting = iter(events)

    def happens(server: Server) -> None:
        leaving, arriving = next(waiting, (set[int](), set[int]()))
        server.in_window = (server.in_window - leaving) | arriving
        stayed.difference_update(leaving)
        seen_at_all.update(arriving)

    result = Server(start, happens).read(page_size)
    assert len(result) == len(set(result))
    assert stayed <= set(result) <= seen_at_all


def test_two_pages_are_under_way_at_once() -> None:
    both = threading.Barrier(2, timeout=20)

    class Meeting(Server):
        def call(self, model: str, method: str, table: str | None = None, domain: Any = None, **named: Any) -> Reply:
            if any(operator == "in" for _, operator, _ in domain):
                both.wait()
            return super().call(model, method, table, domain, **named)

    everything = set(range(1, 51))
    assert Meeting(everything).read(10) == sorted(everything)


@given(start=st.sets(st.integers(1, 2000), max_size=400), page_size=st.integers(SMALLEST_PAGE, 1000), data=st.data())
def test_pages_shrink_until_the_server_manages(start: set[int], page_size: int, data: st.DataObject) -> None:
    server = Server(start)
    server.slow_above = data.draw(st.integers(SMALLEST_PAGE, 1000))
    assert server.read(page_size) == sorted(start)


def test_a_server_too_slow_for_the_smallest_page_is_an_error() -> None:
    server = Server({1})
    server.slow_above = 0
    with pytest.raises(SlowAnswer):
        server.read(1000)
    assert server.limits == [1000, 250, 62, 50]


@pytest.mark.parametrize(("pages", "lists"), [([[2, 1], [1]], []), ([[1, 2]], [4, 3]), ([[1, 2]], [2])])
def test_a_server_that_does_not_keep_the_order_is_refused(pages: list[list[int]], lists: list[int]) -> None:
    answers = iter(pages)

    class Unordered(Server):
        def call(self, model: str, method: str, table: str | None = None, domain: Any = None, **named: Any) -> Reply:
            found = lists if method == "search" else [{"id": value} for value in next(answers)]
            return Reply(found, datetime.now(UTC), 0.0)

    with pytest.raises(PermanentError, match="order by id"):
        Unordered(set()).read(2)


@pytest.mark.parametrize("silent", ["search_read", "search"])
def test_a_server_that_answers_no_list_is_refused(silent: str) -> None:
    class Silent(Server):
        def call(self, model: str, method: str, table: str | None = None, domain: Any = None, **named: Any) -> Reply:
            reply = super().call(model, method, table, domain, **named)
            return Reply(None, reply.read_at, 0.0) if method == silent else reply

    with pytest.raises(PermanentError, match=f"{silent} of crm.lead with no list"):
        Silent({1, 2, 3}).read(2)


@given(number=st.integers(0, 60), page_size=st.integers(1, 20))
def test_ids_are_listed_once_and_pages_asked_for_as_often_as_they_fill(number: int, page_size: int) -> None:
    server = Server(set(range(1, number + 1)))
    assert server.read(page_size) == list(range(1, number + 1))
    assert len(server.limits) == max(1, -(-number // page_size))
    assert server.lists == (number >= page_size)


@pytest.mark.usefixtures("always_bare")
@pytest.mark.parametrize("behaviour", ["refuses load", "ignores load"])
def test_servers_that_cannot_leave_labels_out(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    expected = read(connect(page_size=10_000), "crm_lead")
    connector = connect(page_size=20)
    rpc = connector._rpc()
    answer = rpc.call

    def call(model: str, method: str, table: str | None = None, domain: Any = None, **named: Any) -> Reply:
        if named.pop("load", True) is None and behaviour == "refuses load":
            raise PermanentError("search_read() got an unexpected keyword argument 'load'")
        return answer(model, method, table, domain, **named)

    monkeypatch.setattr(rpc, "call", call)
    rows = read(connector, "crm_lead")
    assert rows == expected
    assert ids(rows) == sandbox.ids(DATABASE, "crm.lead")


def test_requests_in_flight_stay_within_the_configured_bound() -> None:
    def odoo(asked: Asked) -> Answer:
        if "version_info" in asked.path:
            return Answer(body=b'{"result": {"server_version": "17.0"}}')
        method = json.loads(asked.body)["params"]["args"][4:5]
        results = {"context_get": {}, "search": []}
        result = results[method[0]] if method else 2
        return Answer(body=json.dumps({"result": result}).encode(), hang=0.02)

    with serving(odoo) as server:
        settings = OdooSource.model_validate(
            {"url": f"{server.url}/prefix", "database": "d", "username": "u", "password": "p", "max_in_flight": 3}
        )
        connector = connect_to("t", "odoo", settings)
        began = time.monotonic()
        assert connector.has_changes(dict.fromkeys(connector.tables(), datetime(2026, 1, 1, tzinfo=UTC))) is False
        assert time.monotonic() - began < 20
        connector.close()
        assert server.most_under_way == 3
        assert {asked.path for asked in server.asked} == {"/prefix/jsonrpc", "/prefix/web/webclient/version_info"}
        assert server.connections <= 4
