"""What all stand-ins share at run time: options, clock, faults, traffic, and how an answer leaves the server."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from starlette.responses import Response
from starlette.routing import BaseRoute

from sandbox.clock import Clock
from sandbox.collection import Record
from sandbox.faults import Faults, FaultyResponse
from sandbox.identities import Identities
from sandbox.traffic import Traffic

SOURCES = ("odoo", "pipedrive", "zendesk", "salesforce", "aws", "apn", "documents")
"""Every kind of source system there is a stand-in of."""


@dataclass(frozen=True)
class Options:
    """How a sandbox is started.

    `sources`: which stand-ins; `databases`: of Odoo; `leads`: of northwind's Odoo; `records`: of the largest table of every other
    stand-in (deals, tickets, opportunities), by default a number that `scale` multiplies; `folder`: where stand-ins that are
    files are written; `apn_port`: where the Postgres of the stand-in APN database listens (0: anywhere).
    """

    seed: int = 7
    scale: float = 1.0
    start: datetime | None = None
    leads: int | None = None
    latency_ms: float = 0.0
    connection_close: bool = False
    databases: tuple[str, ...] = ("northwind", "nkretail", "podium")
    sources: tuple[str, ...] = SOURCES
    records: int | None = None
    folder: Path | None = None
    apn_port: int = 0

    def amount(self, usual: int) -> int:
        """How many records the largest table of a stand-in gets; `usual`: at scale 1."""
        return max(1, round(usual * self.scale)) if self.records is None else self.records


class Source(Protocol):
    """One kind of source system: its routes and its part of the story."""

    def routes(self) -> list[BaseRoute]:
        """What it serves, control endpoints of its own included."""
        ...

    def advance(self, to: datetime, tenant: str | None) -> dict[str, Any]:
        """Let time pass up to `to` (in one tenant or all); returns tenant -> object -> changed ids."""
        ...

    def describe(self) -> dict[str, Any]:
        """tenant -> object -> number of records."""
        ...

    def close(self) -> None:
        """End what it started: servers, threads."""
        ...


class Recorded(Source, Protocol):
    """A source whose records the control endpoints can show and change."""

    def truth(self, tenant: str, entity: str) -> list[Record]:
        """Every record as stored, deleted ones that the system still shows included."""
        ...

    def change(self, tenant: str, entity: str, put: list[Record], delete: list[int | str]) -> list[int | str]:
        """Create (no id, or an unknown one) or patch records, stamped now unless `put` holds its own stamp; delete some as the
        system deletes.

        Returns:
            The ids put.
        """
        ...


@dataclass
class Context:
    """The running sandbox."""

    options: Options
    clock: Clock
    faults: Faults = field(default_factory=Faults)
    traffic: Traffic = field(default_factory=Traffic)
    identities: Identities = field(default_factory=Identities)

    async def deliver(
        self,
        response: Response,
        database: str,
        model: str,
        method: str,
        rows: int = 0,
        failed: bool = False,
        own: Mapping[str, Response] | None = None,
    ) -> Response:
        """Count an answer, delay it, and let a fault strike it.

        Parameters:
            database, model, method: the tenant, the object and the operation, which faults and counters go by.
            own: how this source itself words a fault, by kind or `kind:style`.
        """
        self.traffic.count(database, model, method, rows, len(response.body), failed)
        if self.options.latency_ms:
            await asyncio.sleep(self.options.latency_ms / 1000)
        if self.options.connection_close:
            response.headers["Connection"] = "close"
        fault = self.faults.strike(database, model, method)
        return response if fault is None else FaultyResponse(fault, response, own)
