"""A sandbox Odoo for the whole session, connectors to it, and an independent witness: unmodified odoorpc."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import odoorpc
import pytest

from resources.connectors.base import Page, TableSchema, Window
from resources.connectors.odoo import OdooConnector, OdooSource
from resources.connectors.odoo_pages import PageReader
from resources.http import HttpClient, RetryPolicy
from sandbox.server import Sandbox, running

DATABASE = "northwind"

Connect = Callable[..., OdooConnector]


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[Sandbox]:
    with running(scale=0.05, leads=150, sources="odoo") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The shared sandbox, without faults of earlier tests and with fresh counters."""
    _sandbox.clear_faults()
    _sandbox.reset_requests()
    yield _sandbox
    _sandbox.clear_faults()


@pytest.fixture
def connect(sandbox: Sandbox) -> Iterator[Connect]:
    """Makes connectors that do not wait between tries.

    `protocol`: jsonrpc (an Odoo 17) or json2 (an Odoo 19); `speak`: the setting of that name; `retry`, `sleep`: the
    client's; the rest are settings.
    """
    made: list[OdooConnector] = []

    def make(
        protocol: str = "jsonrpc",
        speak: str = "auto",
        user: str = "admin",
        database: str = DATABASE,
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], None] = lambda seconds: None,
        **settings: Any,
    ) -> OdooConnector:
        version = 19 if protocol == "json2" else 17
        options = OdooSource.model_validate(
            {
                "url": sandbox.odoo_url(database, version),
                "database": database,
                "username": user,
                "password": f"{user}-api-key",
                "protocol": speak,
                **settings,
            }
        )
        http = HttpClient(
            database,
            "odoo",
            max_in_flight=options.max_in_flight,
            timeout_seconds=options.timeout_seconds,
            retry=retry,
            sleep=sleep,
        )
        connector = OdooConnector("odoo", options, database, http)
        made.append(connector)
        return connector

    yield make
    for connector in made:
        connector.close()


@pytest.fixture
def witness(sandbox: Sandbox) -> Callable[..., Any]:
    """Calls a method as odoorpc does, at the address without prefix: (model, method, *args, user=, **kwargs)."""
    sessions: dict[str, Any] = {}

    def call(model: str, method: str, *args: Any, user: str = "admin", database: str = DATABASE, **kwargs: Any) -> Any:
        key = f"{user}@{database}"
        if key not in sessions:
            sessions[key] = odoorpc.ODOO("127.0.0.1", port=sandbox.port)
            sessions[key].login(database, user, user)
        return sessions[key].execute_kw(model, method, list(args), kwargs)

    return call


@pytest.fixture
def always_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read every page but the first bare, whatever it costs."""

    def choose(reader: PageReader, cost: float) -> None:
        reader._bare, reader._bare_on_trial = True, 0

    monkeypatch.setattr(PageReader, "_choose_way", choose)


def read(connector: OdooConnector, table: str | TableSchema, window: Window | None = None) -> list[dict[str, Any]]:
    """All records of a window, in the order in which they came."""
    schema = connector.schema(table) if isinstance(table, str) else table
    return records(connector.changes(schema, window or Window()))


def records(pages: Iterable[Page]) -> list[dict[str, Any]]:
    return [decoded(record) for page in pages for record in page.records]


def decoded(record: dict[str, Any] | bytes) -> dict[str, Any]:
    return json.loads(record) if isinstance(record, bytes) else record


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]
