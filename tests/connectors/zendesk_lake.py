"""A lake that reads the stand-in Zendesk, with clients that do not wait, and what it is held against."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from lake_assets.bronze.capture import SyncRequest, TableOutcome
from lake_assets.bronze.sync import sync_source
from resources.budget import Budget
from resources.connectors.zendesk import ZendeskConnector, ZendeskSource
from resources.http import HttpClient, RetryPolicy
from sandbox.server import Sandbox
from tests.lakes import SyncedLake, today, write_config

TABLES = ("tickets", "users", "organizations", "groups", "ticket_fields", "ticket_forms", "ticket_metric_events")
TENANT = "skyfit"


def limit(sandbox: Sandbox, **options: Any) -> dict[str, Any]:
    """Set the account's limits; what they are and what they saw."""
    return requests.post(f"{sandbox.url}/_sandbox/zendesk/{TENANT}/limits", json=options, timeout=30).json()


def later(sandbox: Sandbox, seconds: float) -> dict[str, dict[str, list[int]]]:
    """Let time pass; what happened meanwhile."""
    now = datetime.fromisoformat(sandbox.health()["now"])
    return sandbox.advance((now + timedelta(seconds=seconds)).isoformat())["zendesk"][TENANT]


class NoWaiting(HttpClient):
    """Notes how long it would wait, and lets the sandbox's clock run that far instead."""

    def __init__(self, sandbox: Sandbox, waited: list[float], **options: Any) -> None:
        def sleep(seconds: float) -> None:
            waited.append(seconds)
            if seconds >= 1:
                later(sandbox, seconds)

        super().__init__(
            TENANT, "zendesk", sleep=sleep, retry=RetryPolicy(tries=5, first_wait=0.01, deadline=900), **options
        )


class ZendeskLake(SyncedLake):
    """A lake whose only tenant reads the sandbox's account; `options` go into its block of `lake.yaml`."""

    def __init__(self, folder: Path, sandbox: Sandbox, **options: Any) -> None:
        self.sandbox = sandbox
        self.waited: list[float] = []
        self.block = {
            "url": sandbox.source_url("zendesk", TENANT), "username": "admin@skyfit.example", "token": "sandbox-token",
            "exports_per_minute": 30, "timeout_seconds": 20, **options,
        }  # fmt: skip
        super().__init__(
            write_config(folder, {TENANT: {"zendesk": {k: v for k, v in self.block.items() if v is not None}}})
        )

    def connector(self, budget: Budget | None = None, **options: Any) -> ZendeskConnector:
        """A connector of this account; `options` change its block."""
        block = {name: value for name, value in {**self.block, **options}.items() if value is not None}
        settings = ZendeskSource.model_validate(block)
        http = NoWaiting(self.sandbox, self.waited, timeout_seconds=settings.timeout_seconds, budget=budget)
        return ZendeskConnector("zendesk", settings, TENANT, http)

    def capture(  # type: ignore[override]
        self,
        *tables: str,
        day: date | None = None,
        full: bool = False,
        sweep: bool = False,
        ids: dict[str, tuple[str, ...]] | None = None,
        **options: Any,
    ) -> dict[str, TableOutcome]:
        """Bronze alone; `options` as of `connector`."""
        self._runs += 1
        request = SyncRequest(
            TENANT, "zendesk", day or today(), f"run-{self._runs:04d}", full=full, sweep=sweep, ids=ids
        )
        outcomes = sync_source(self.lake, lambda: self.connector(**options), list(tables), request)
        return {outcome.table: outcome for outcome in outcomes}

    def bronze(self, table: str, tenant: str | None = None, source: str = "zendesk") -> list[dict[str, Any]]:
        """Every captured row, in the order of reading."""
        return super().bronze(table, tenant, source)

    def state(self, table: str, tenant: str | None = None, source: str = "zendesk") -> Any:
        """Where the table's reading stands."""
        return super().state(table, tenant, source)

    def assert_is_source(self, *tables: str) -> None:
        """`raw` has each living record once, as the account has it now, and bronze no version twice."""
        for table in tables or TABLES:
            stored = self.sandbox.records("zendesk", TENANT, table)
            living = {
                (str(row["id"]), str(row.get("updated_at") or row.get("time") or ""))
                for row in stored
                if not (row.get("status") == "deleted" or row.get("deleted") or row.get("deleted_at"))
                and (row.get("active") or table != "users")
            }
            moment = "time" if table == "ticket_metric_events" else "updated_at"
            text = f"coalesce(strftime({moment}, '%Y-%m-%dT%H:%M:%SZ'), '')"
            found = self.query(f"SELECT _source_id, {text} FROM raw.zendesk_{table}")
            assert len(found) == len(set(found)), f"raw.zendesk_{table} shows a record twice"
            assert set(found) == living, f"raw.zendesk_{table} differs from the account"
            versions = [(row["source_id"], row["checksum"]) for row in self.bronze(table)]
            assert len(versions) == len(set(versions)), f"{table}: a version was written twice"
