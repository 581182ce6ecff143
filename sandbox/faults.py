"""Faults on demand: what networks, proxies and overloaded servers do to a client.

A rule matches requests by tenant, object and operation (Odoo: database, model, method) and strikes `times` of them
after letting `after` pass. Each stand-in asks `Faults.strike()` once a request is understood, then lets
`FaultyResponse` carry the blow out.
"""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

KINDS = (
    "500", "503", "429", "401", "403", "expired", "cut", "timeout", "reset", "html", "slow", "repeat", "database_down",
)  # fmt: skip
"""HTTP statuses, an expired cursor or token, half a body, no answer, a reset connection, a proxy's page, a late answer, the page
before once more, and the source's own error while its database is away. A source that words one of them itself hands its answer
in; the others look like a proxy's."""
_HTML = "<!doctype html>\n<html lang=en>\n<title>{0}</title>\n<h1>{0}</h1>\n<p>{1}</p>\n"


@dataclass
class Fault:
    """One rule. `None` in a matcher matches everything; `times=None` strikes until cleared."""

    kind: str
    database: str | None = None
    model: str | None = None
    method: str | None = None
    after: int = 0
    times: int | None = 1
    style: str | None = None
    """One of several ways in which a source words this kind, e.g. `text` for a 429 that is no JSON."""
    retry_after: float | None = None
    seconds: float = 30.0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")

    def matches(self, database: str | None, model: str | None, method: str | None) -> bool:
        """Whether this rule is about such a request."""
        return self.database in (None, database) and self.model in (None, model) and self.method in (None, method)


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []

    def add(self, **options: Any) -> Fault:
        """Put one rule in force."""
        fault = Fault(**options)
        self.rules.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all rules."""
        self.rules.clear()

    def strike(self, database: str | None, model: str | None, method: str | None) -> Fault | None:
        """The rule that hits this request, if any; counts it."""
        for rule in self.rules:
            if not rule.matches(database, model, method):
                continue
            if rule.after > 0:
                rule.after -= 1
                continue
            if rule.times is None or rule.struck < rule.times:
                rule.struck += 1
                return rule
        return None

    def describe(self) -> list[dict[str, Any]]:
        """The rules as JSON."""
        return [asdict(rule) for rule in self.rules]


class FaultyResponse(Response):
    """The good answer as a faulty network or server would have delivered it."""

    def __init__(self, fault: Fault, good: Response, own: Mapping[str, Response] | None = None) -> None:
        super().__init__()
        self.fault, self.good, self.own = fault, good, own or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry the fault out on this connection."""
        fault = self.fault
        transport: asyncio.Transport | None = scope.get("sandbox.transport")
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
            return await self.good(scope, receive, send)
        if fault.kind == "timeout":
            await asyncio.sleep(fault.seconds)
            return _hang_up(transport)
        if fault.kind == "reset":
            return _hang_up(transport, reset=True)
        if fault.kind == "cut":
            body = bytes(self.good.body)
            head = {"status": self.good.status_code, "headers": self.good.raw_headers}
            await send({"type": "http.response.start", **head})
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(0.01)  # lets the half body leave before the connection goes
            return _hang_up(transport)
        await self._error_page(fault)(scope, receive, send)

    def _error_page(self, fault: Fault) -> Response:
        retry = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        styled = f"{fault.kind}:{fault.style}" if fault.style else fault.kind
        if (own := self.own.get(styled)) is not None:
            own.headers.update(retry)
            return own
        if fault.kind in ("401", "403"):
            page = _HTML.format(f"{fault.kind} Forbidden", "Access denied. Ray id 8f00c0ffee.")
            return Response(page, int(fault.kind), media_type="text/html")
        if fault.kind == "503":
            page = _HTML.format("503 Service Unavailable", "No server is available to handle this request.")
            return Response(page, 503, media_type="text/html", headers=retry)
        if fault.kind == "429":
            page = _HTML.format("429 Too Many Requests", "This user has exceeded an allotted request count.")
            return Response(page, 429, media_type="text/html", headers=retry)
        if fault.kind == "html":  # a proxy's maintenance page: HTTP 200, no JSON
            return Response(_HTML.format("Maintenance", "We will be back shortly."), 200, media_type="text/html")
        page = _HTML.format("500 Internal Server Error", "The server encountered an internal error.")
        return Response(page, 500, media_type="text/html")


def _hang_up(transport: asyncio.Transport | None, reset: bool = False) -> None:
    """Close the connection without finishing the answer; `reset` sends RST instead of FIN."""
    if transport is None:
        raise RuntimeError("the server's transport is unknown: faults need the sandbox's own server")
    if reset and (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort() if reset else transport.close()
