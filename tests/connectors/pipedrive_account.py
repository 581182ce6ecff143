"""A stand-in Pipedrive, connectors to it, and a lake to capture it into."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from lake_assets.bronze.capture import SyncRequest, TableOutcome
from lake_assets.bronze.sync import sync_source
from lake_assets.bronze.views import BronzeTable, raw_view
from resources.budget import Budget
from resources.connectors.base import Page, Window
from resources.connectors.pipedrive import PipedriveConnector, PipedriveSource
from resources.http import HttpClient, RetryPolicy
from resources.lake import Lake
from resources.scope import Scope
from sandbox.server import Sandbox, running

START = "2026-11-14"
TENANT, NAME = "skyfit", "pipedrive"


class Account:
    """The stand-in of one account."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.http = requests.Session()
        self.http.trust_env = False
        self.login = self._control("GET", "login")
        self.made: list[PipedriveConnector] = []
        self.limit(plan="ultimate", burst=1000, daily_tokens=0)

    def _control(self, method: str, name: str, body: Any = None) -> Any:
        return self.http.request(method, f"{self.sandbox.url}/_sandbox/pipedrive/{TENANT}/{name}", json=body).json()

    def limit(self, **options: Any) -> dict[str, Any]:
        """Change, or see, what the account may be asked."""
        return self._control("POST", "limits", options)

    def expire_tokens(self) -> None:
        """Every OAuth access token ends."""
        self._control("DELETE", "login")

    def refreshes(self) -> int:
        """How many access tokens were given out."""
        return self._control("GET", "login")["refreshes"]

    def connect(
        self, oauth: bool = False, budget: Budget | None = None, sleep: Any = None, **settings: Any
    ) -> PipedriveConnector:
        """A connector that does not wait between tries."""
        url = self.sandbox.source_url("pipedrive", TENANT)
        login: dict[str, Any] = {"url": url, "api_token": self.login["api_token"]}
        if oauth:
            names = ("client_id", "client_secret", "refresh_token")
            login = {name: self.login[name] for name in names} | {"token_url": f"{url}/oauth/token"}
        options = PipedriveSource.model_validate({**login, "plan": "ultimate", "page_size": 50, **settings})
        http = HttpClient(
            TENANT, NAME, max_in_flight=options.max_in_flight, timeout_seconds=options.timeout_seconds, budget=budget,
            retry=RetryPolicy(tries=4), sleep=sleep or (lambda seconds: None),
        )  # fmt: skip
        connector = PipedriveConnector(NAME, options, TENANT, http)
        self.made.append(connector)
        return connector

    def truth(self, table: str, deleted: bool = False) -> dict[Any, dict[str, Any]]:
        """Id -> record as stored; of deals also those that are deleted, if asked for."""
        key = "field_code" if table.endswith("_fields") else "id"
        rows = self.sandbox.records("pipedrive", TENANT, table)
        return {row[key]: row for row in rows if deleted or not row.get("is_deleted")}

    def change(self, table: str, *put: dict[str, Any], delete: Iterable[Any] = ()) -> None:
        """Create, patch and delete."""
        self.sandbox.change("pipedrive", TENANT, table, list(put), list(delete))

    def asked(self) -> dict[tuple[str, str], int]:
        """(object, operation) -> requests since the last reset."""
        return {(row["model"], row["method"]): row["requests"] for row in self.sandbox.requests()}


@contextmanager
def account(records: int, **options: Any) -> Iterator[Account]:
    """An account with so many deals."""
    with running(start=START, seed=7, sources="pipedrive", records=records, **options) as sandbox:
        made = Account(sandbox)
        yield made
        for connector in made.made:
            connector.close()


class Captured:
    """A lake that an account is synced into."""

    def __init__(self, folder: Path, source: Account, **settings: Any) -> None:
        self.lake, self.source, self.settings = Lake(str(folder)), source, settings
        self.runs = 0

    def sync(self, *tables: str, **options: Any) -> dict[str, TableOutcome]:
        """One sync by a connector of its own; all tables if none is named."""
        self.runs += 1
        budget = Budget(self.lake, TENANT, NAME, self.settings.get("max_per_day"))
        connector = self.source.connect(budget=budget, **self.settings)
        request = SyncRequest(TENANT, NAME, datetime.now(UTC).date(), f"run-{self.runs}", **options)
        outcomes = sync_source(self.lake, lambda: connector, list(tables) or connector.tables(), request)
        return {outcome.table: outcome for outcome in outcomes}

    def raw(self, table: str) -> dict[str, dict[str, Any]]:
        """Source id -> its row in `raw.pipedrive_<table>`."""
        with self.lake.connection() as connection:
            view = raw_view(Scope(self.lake, (TENANT,)), BronzeTable("pipedrive", table))
            rows = connection.sql(view).to_arrow_table().to_pylist()
        assert len({row["_source_id"] for row in rows}) == len(rows)
        return {row["_source_id"]: row for row in rows}

    def columns(self, table: str) -> dict[str, str]:
        """Name -> DuckDB type of the view's columns."""
        with self.lake.connection() as connection:
            view = raw_view(Scope(self.lake, (TENANT,)), BronzeTable("pipedrive", table))
            return {row[0]: row[1] for row in connection.sql(f"DESCRIBE {view}").fetchall()}


def decoded(record: dict[str, Any] | bytes) -> dict[str, Any]:
    return json.loads(record) if isinstance(record, bytes) else record


def read(connector: PipedriveConnector, table: str, window: Window | None = None) -> list[dict[str, Any]]:
    """All records of a window, in the order in which they came."""
    return records(connector.changes(connector.schema(table), window or Window()))


def records(pages: Iterable[Page]) -> list[dict[str, Any]]:
    return [decoded(record) for page in pages for record in page.records]  # type: ignore[union-attr]
