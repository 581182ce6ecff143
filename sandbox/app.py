"""Assembles the ASGI application: the sources' routes plus the control endpoints under `/_sandbox/`.

The control endpoints have no login: the server binds loopback only, and tests are their only callers.
"""

import asyncio
import importlib
import importlib.util
from datetime import datetime
from email.utils import format_datetime
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.clock import Clock, parse_moment
from sandbox.context import Context, Options, Recorded, Source


def json_response(value: Any, status: int = 200) -> Response:
    """A control endpoint's answer."""
    return Response(orjson.dumps(value), status, media_type="application/json")


STAND_INS = {
    "odoo": "sandbox.odoo.source:OdooSource",
    "pipedrive": "sandbox.pipedrive.source:PipedriveSource",
    "zendesk": "sandbox.zendesk.source:ZendeskSource",
    "salesforce": "sandbox.salesforce.source:SalesforceSource",
    "aws": "sandbox.aws.source:AwsSource",
    "apn": "sandbox.apn.source:ApnSource",
    "documents": "sandbox.documents.source:DocumentsSource",
}
"""Source -> module and class, loaded when it is asked for."""


def build(options: Options) -> "Wire":
    """The application; generates the story, which takes a moment."""
    context = Context(options, Clock(options.start))
    sources: dict[str, Source] = {}
    for name in options.sources:
        module, class_name = STAND_INS[name].split(":")
        if importlib.util.find_spec(module.rpartition(".")[0]):
            sources[name] = getattr(importlib.import_module(module), class_name)(context)
    control = Control(context, sources)
    routes = [*(route for source in sources.values() for route in source.routes()), *control.routes()]
    app = Starlette(routes=routes, exception_handlers={Exception: _explain})
    return Wire(app, context.clock, list(sources.values()))


async def _explain(request: Request, error: Exception) -> Response:
    return json_response({"error": f"{type(error).__name__}: {error}"}, 500)


class Wire:
    """Outermost layer: the `Date` header of the sandbox's clock, and the connection for faults that cut it."""

    def __init__(self, app: ASGIApp, clock: Clock, sources: list[Source]) -> None:
        self.app, self.clock, self.sources = app, clock, sources

    def close(self) -> None:
        """End what the stand-ins started."""
        for source in self.sources:
            source.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        scope["sandbox.transport"] = getattr(getattr(send, "__self__", None), "transport", None)

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(self.clock.now(), usegmt=True).encode()
                message = {**message, "headers": [*message.get("headers", ()), (b"date", date)]}
            await send(message)

        try:
            await self.app(scope, receive, stamped)
        except asyncio.CancelledError:
            raise
        except Exception:
            return


class Control:
    """Endpoints that steer the sandbox as a whole."""

    def __init__(self, context: Context, sources: dict[str, Source]) -> None:
        self.context, self.sources = context, sources

    def routes(self) -> list[Route]:
        """Everything under `/_sandbox/` that no single source owns."""
        return [
            Route("/_sandbox/health", self.health),
            Route("/_sandbox/advance", self.advance, methods=["POST"]),
            Route("/_sandbox/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route("/_sandbox/requests", self.requests, methods=["GET", "DELETE"]),
            Route("/_sandbox/truth/identities/{tenant}", self.identities),
            Route("/_sandbox/truth/{source}/{tenant}/{entity}", self.truth),
            Route("/_sandbox/records/{source}/{tenant}/{entity}", self.change, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        """That it is up, what time it is in there, and what it holds."""
        counts = {name: source.describe() for name, source in self.sources.items()}
        options = self.context.options
        return json_response(
            {"status": "ok", "now": self.context.clock.now().isoformat(), "seed": options.seed, "sources": counts}
        )

    async def advance(self, request: Request) -> Response:
        """`{"to": "2026-11-15" | "...T18:00:00Z" | "now", "database": null}` -> changed ids per source, tenant, model."""
        body = await request.json()
        try:
            to = self._moment(body.get("to", "now"))
        except ValueError as error:
            return json_response({"error": str(error)}, 400)
        changes = {name: source.advance(to, body.get("database")) for name, source in self.sources.items()}
        self.context.clock.move_to(to)
        return json_response({"now": self.context.clock.now().isoformat(), **changes})

    def _moment(self, text: str) -> datetime:
        """`now` is the machine's own time, or the sandbox's if that is ahead."""
        return max(Clock().now(), self.context.clock.now()) if text == "now" else parse_moment(text)

    async def faults(self, request: Request) -> Response:
        """POST puts a rule in force, GET lists, DELETE clears."""
        faults = self.context.faults
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            try:
                faults.add(**await request.json())
            except (TypeError, ValueError) as error:
                return json_response({"error": str(error)}, 400)
        return json_response({"faults": faults.describe()})

    async def requests(self, request: Request) -> Response:
        """GET tells what clients asked since the start or the last DELETE."""
        if request.method == "DELETE":
            self.context.traffic.reset()
        return json_response({"requests": self.context.traffic.describe()})

    async def identities(self, request: Request) -> Response:
        """Which records of a tenant's systems are about the same thing."""
        return json_response({"identities": self.context.identities.describe(request.path_params["tenant"])})

    def _recorded(self, request: Request) -> tuple[Recorded, str, str]:
        source = self.sources[request.path_params["source"]]
        return source, request.path_params["tenant"], request.path_params["entity"]  # type: ignore[return-value]

    async def truth(self, request: Request) -> Response:
        """Every record of an object as stored."""
        source, tenant, entity = self._recorded(request)
        records = source.truth(tenant, entity)
        return json_response({"count": len(records), "records": records})

    async def change(self, request: Request) -> Response:
        """`{"put": [record or patch, ...], "delete": [id, ...]}` -> the ids put."""
        source, tenant, entity = self._recorded(request)
        body = await request.json()
        return json_response({"ids": source.change(tenant, entity, body.get("put", []), body.get("delete", []))})
