"""What all stand-ins share at run time: options, clock, faults, traffic, and how an answer leaves the server."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from starlette.responses import Response
from starlette.routing import BaseRoute

from sandbox.clock import Clock
from sandbox.faults import Faults, FaultyResponse
from sandbox.traffic import Traffic


@dataclass(frozen=True)
class Options:
    """How a sandbox is started."""

    seed: int = 7
    scale: float = 1.0
    start: datetime | None = None
    leads: int | None = None
    latency_ms: float = 0.0
    connection_close: bool = False
    databases: tuple[str, ...] = ("northwind", "nkretail", "podium")


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


@dataclass
class Context:
    """The running sandbox."""

    options: Options
    clock: Clock
    faults: Faults = field(default_factory=Faults)
    traffic: Traffic = field(default_factory=Traffic)

    async def deliver(
        self,
        response: Response,
        database: str,
        model: str,
        method: str,
        rows: int = 0,
        failed: bool = False,
        down: Response | None = None,
    ) -> Response:
        """Count an answer, delay it, and let a fault strike it. `down`: what the source says without its database."""
        self.traffic.count(database, model, method, rows, len(response.body), failed)
        if self.options.latency_ms:
            await asyncio.sleep(self.options.latency_ms / 1000)
        if self.options.connection_close:
            response.headers["Connection"] = "close"
        fault = self.faults.strike(database, model, method)
        return response if fault is None else FaultyResponse(fault, response, down)
