"""Zendesk as a source of the sandbox: the addresses it answers at, who may ask, and how time passes in its accounts."""

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import count
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.context import Context
from sandbox.zendesk import answers, living
from sandbox.zendesk.account import Account
from sandbox.zendesk.answers import Answer
from sandbox.zendesk.limits import WITHOUT_FORMS, refusal
from sandbox.zendesk.table import Record, dumps

TENANTS = ("skyfit",)
_BY_CURSOR = ("tickets", "users")
_BY_TIME = ("tickets", "users", "organizations", "ticket_metric_events")
_LISTED = ("tickets", "users", "organizations", "groups", "ticket_fields", "ticket_forms", "deleted_tickets")
_BY_IDS = ("tickets", "users", "organizations")
_FOR_ADMINS = ("export", "export_time", "sample")
_SAMPLE = 50


class ZendeskSource:
    """The accounts of all tenants."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.accounts = {tenant: Account(tenant, context) for tenant in TENANTS}
        self._served: deque[tuple[str, str | None, Response]] = deque(maxlen=8)
        """The last pages: path, what asks for the page behind, answer. For the fault that repeats one."""
        self._numbers = count(1)

    def advance(self, to: datetime, tenant: str | None) -> dict[str, Any]:
        """Let the accounts live up to `to`."""
        return {name: living.live(account, to) for name, account in self.accounts.items() if tenant in (None, name)}

    def describe(self) -> dict[str, Any]:
        """Records per account and object."""
        return {
            name: {entity: len(table) for entity, table in account.tables.items()}
            for name, account in self.accounts.items()
        }

    def close(self) -> None:
        """Nothing was started."""

    def truth(self, tenant: str, entity: str) -> list[Record]:
        """Every record as stored, deleted ones included."""
        return list(self.accounts[tenant].tables[entity].all())

    def change(self, tenant: str, entity: str, put: list[Record], delete: list[int | str]) -> list[int | str]:
        """Create, patch and delete as an agent would."""
        ids = self.accounts[tenant].change(entity, put, [int(record_id) for record_id in delete])
        return list(ids)

    # -- routes --------------------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """Exports, lists and the limits' control."""
        root = "/zendesk/{tenant}/api/v2"
        paths: dict[str, Callable[[Account, Request, str], tuple[str, str, Answer]]] = {
            "/incremental/{entity}/cursor{suffix}": self._cursor,
            "/incremental/{entity}/sample{suffix}": self._sample,
            "/incremental/{entity}{suffix}": self._time,
            "/users/me{suffix}": self._me,
            "/{entity}/show_many{suffix}": self._by_ids,
            "/{entity}{suffix}": self._list,
        }
        routes: list[BaseRoute] = []
        for path, handler in paths.items():
            for suffix in (".json", ""):
                routes.append(Route(root + path.replace("{suffix}", suffix), self._endpoint(handler)))
        limits = Route("/_sandbox/zendesk/{tenant}/limits", self.limits, methods=["GET", "POST"])
        return [*routes, limits]

    async def limits(self, request: Request) -> Response:
        """POST sets (see `Limits.set`), GET and POST tell what is set and what was seen."""
        limits = self.accounts[request.path_params["tenant"]].limits
        if request.method == "POST":
            limits.set(await request.json())
        return Response(orjson.dumps(limits.describe()), media_type="application/json")

    def _endpoint(
        self, handler: Callable[[Account, Request, str], tuple[str, str, Answer]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            tenant = request.path_params["tenant"]
            if (account := self.accounts.get(tenant)) is None:
                return answers.not_found().response
            entity, method, answer, headers = self._answer(account, request, handler)
            response = answer.response
            response.headers.update({"x-request-id": f"{next(self._numbers):016x}-SBX", **headers})
            own = self._own_faults(request, method, response)
            failed = response.status_code >= 400
            if answer.next is not None:
                self._served.append((request.url.path, answer.next, response))
            return await self.context.deliver(response, tenant, entity, method, answer.rows, failed, own)

        return endpoint

    def _answer(
        self, account: Account, request: Request, handler: Callable[[Account, Request, str], tuple[str, str, Answer]]
    ) -> tuple[str, str, Answer, dict[str, str]]:
        """Who asks, whether the limits allow it, and then what the handler says."""
        root = f"{request.url.scheme}://{request.url.netloc}/zendesk/{account.tenant}/api/v2"
        role = account.role(request.headers.get("authorization", ""))
        if role is None:
            entity, method, answer = "-", "login", answers.unauthorized()
            return entity, method, answer, {}
        export = "/incremental/" in request.url.path
        refused, headers = account.limits.admit(export)
        if refused is not None:
            entity = request.path_params.get("entity", "-")
            return entity, "refused", Answer(refused), headers
        entity, method, answer = handler(account, request, root)
        if role != "admin" and method in _FOR_ADMINS:
            answer = answers.forbidden()
        return entity, method, answer, headers

    def _own_faults(self, request: Request, method: str, good: Response) -> dict[str, Response]:
        """How Zendesk words what may go wrong with a request. Where nothing was served before, nothing is repeated, and only a
        cursor expires."""
        if not self.context.faults.rules:
            return {}
        kind, query = "exports" if method in _FOR_ADMINS else "account", request.query_params
        cursor = query.get("cursor") or query.get("page[after]")
        asked = cursor or query.get("start_time")
        before = (body for path, behind, body in self._served if path == request.url.path and behind == asked)
        own = {
            "429": refusal(kind, "json", None),
            "429:text": refusal(kind, "text", None),
            "401": answers.unauthorized().response,
            "403": answers.forbidden().response,
            "403:empty": Response(b"", 403, media_type="text/html"),
            "expired": answers.bad_cursor().response,
        }
        for response in own.values():
            response.headers["x-request-id"] = good.headers["x-request-id"]
        own["repeat"] = next(before, good)
        return own if cursor else {**own, "expired": good}

    # -- handlers: (object, operation, answer) -------------------------------------------------------------------------

    def _cursor(self, account: Account, request: Request, root: str) -> tuple[str, str, Answer]:
        entity = request.path_params["entity"]
        known = entity in _BY_CURSOR
        query = request.query_params
        return entity, "export", answers.cursor_export(account, entity, query, root) if known else answers.not_found()

    def _time(self, account: Account, request: Request, root: str) -> tuple[str, str, Answer]:
        entity, query = request.path_params["entity"], request.query_params
        if entity == "ticket_metric_events" and "page[size]" in query:
            return entity, "export", answers.event_pages(account, query, root)
        known = entity in _BY_TIME
        return (
            entity,
            "export_time",
            answers.time_export(account, entity, query, root) if known else answers.not_found(),
        )

    def _sample(self, account: Account, request: Request, root: str) -> tuple[str, str, Answer]:
        entity = request.path_params["entity"]
        if entity not in _BY_TIME:
            return entity, "sample", answers.not_found()
        query = {**request.query_params, "per_page": str(_SAMPLE)}
        return entity, "sample", answers.time_export(account, entity, query, root)

    def _list(self, account: Account, request: Request, root: str) -> tuple[str, str, Answer]:
        entity = request.path_params["entity"]
        if entity not in _LISTED:
            return entity, "list", answers.not_found()
        if entity == "ticket_forms" and account.limits.plan in WITHOUT_FORMS:
            return entity, "list", Answer(Response(b"", 403, media_type="text/html"))
        return entity, "list", answers.listing(account, entity, request.query_params, root)

    def _by_ids(self, account: Account, request: Request, root: str) -> tuple[str, str, Answer]:
        entity = request.path_params["entity"]
        known = entity in _BY_IDS
        return entity, "by_ids", answers.by_ids(account, entity, request.query_params) if known else answers.not_found()

    def _me(self, account: Account, request: Request, root: str) -> tuple[str, str, Answer]:
        user = next(iter(account.tables["users"].texts))
        body = dumps({"user": account.tables["users"].get(user)})
        return "users", "me", Answer(Response(body, media_type="application/json"), 1)
