"""Odoo as a source of the sandbox: its databases, the addresses they answer at, and how time passes in them.

Every database answers at the root (the call names it, as odoorpc does), under `/odoo/<database>/` (as behind a proxy)
and, claiming to be version 19, under `/odoo19/<database>/`: the same data, both protocols.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.context import Context
from sandbox.odoo import advance_nkretail, advance_northwind, advance_podium, seed_nkretail, seed_northwind, seed_podium
from sandbox.odoo.control import OdooControl
from sandbox.odoo.json2 import json2
from sandbox.odoo.rpc import Odoo, Outcome, jsonrpc, not_found, web_json
from sandbox.odoo.tenant import Tenant
from sandbox.odoo.views import dumps


class OdooSource:
    """The Odoo databases of all tenants."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tenants = {name: self._tenant(name) for name in context.options.databases}
        self.root = Odoo(self.tenants)
        self.prefixed = {
            (version, name): Odoo(self.tenants, version, only=name) for version in (17, 19) for name in self.tenants
        }

    def _tenant(self, name: str) -> Tenant:
        options, clock = self.context.options, self.context.clock
        if name == "northwind":
            database, story = seed_northwind.build(options.seed, clock.start, options.scale, options.leads)
            live = advance_northwind.Northwind(story, options.scale).live
        elif name == "nkretail":
            database, world = seed_nkretail.build(options.seed, clock.start, options.scale)
            live = advance_nkretail.Retail(world).live
        elif name == "podium":
            database, world = seed_podium.build(options.seed, clock.start, options.scale)
            live = advance_podium.Podium(world).live
        else:
            raise ValueError(f"no database named {name!r}: northwind, nkretail, podium")
        database.lived_until = clock.start
        return Tenant(name, database, clock, live)

    def advance(self, to: datetime, tenant: str | None) -> dict[str, Any]:
        """Let the databases live up to `to`."""
        answer = {}
        for name, known in self.tenants.items():
            if tenant in (None, name):
                answer[name] = known.live(known, to).describe()
        return answer

    def describe(self) -> dict[str, Any]:
        """Records per database and model."""
        return {
            name: {model: len(table.rows) for model, table in tenant.database.tables.items() if table.rows}
            for name, tenant in self.tenants.items()
        }

    def close(self) -> None:
        """Nothing was started."""

    # -- routes ------------------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """Root, prefixed and control addresses."""
        anything = ["GET", "POST", "PUT", "DELETE"]
        paths: dict[str, Callable[[Odoo, Request], Any]] = {
            "/jsonrpc": self._jsonrpc,
            "/json/2/{model}/{method}": self._json2,
            "/web/version": self._web_version,
            "/web/{route:path}": self._web,
        }
        routes: list[BaseRoute] = []
        for path, handler in paths.items():
            for prefix in ("", "/odoo/{database}", "/odoo19/{database}"):
                routes.append(Route(prefix + path, self._endpoint(handler, prefix), methods=anything))
        return [*routes, *OdooControl(self.context, self.tenants).routes()]

    def _endpoint(self, handler: Callable[[Odoo, Request], Any], prefix: str) -> Callable[[Request], Any]:
        version = 19 if prefix.startswith("/odoo19") else 17

        async def endpoint(request: Request) -> Response:
            database = request.path_params.get("database")
            server = self.root if database is None else self.prefixed.get((version, database))
            if server is None:
                return not_found()
            found: Outcome = await handler(server, request)
            name = found.database if found.database != "-" else database or "-"
            own = {} if found.down is None else {"database_down": found.down}
            return await self.context.deliver(
                found.response, name, found.model, found.method, found.rows, found.failed, own
            )

        return endpoint

    async def _jsonrpc(self, server: Odoo, request: Request) -> Outcome:
        return await jsonrpc(server, request)

    async def _web(self, server: Odoo, request: Request) -> Outcome:
        return await web_json(server, request, request.path_params["route"])

    async def _json2(self, server: Odoo, request: Request) -> Outcome:
        if server.version < 19 or request.method != "POST":
            return Outcome(not_found())
        return await json2(server, request, request.path_params["model"], request.path_params["method"])

    async def _web_version(self, server: Odoo, request: Request) -> Outcome:
        if server.version < 19:
            return Outcome(not_found())
        info = server.version_info()
        body = {"version_info": info["server_version_info"], "version": info["server_version"]}
        return Outcome(Response(dumps(body), media_type="application/json"), method="version")
