"""Pipedrive as a source of the sandbox: its addresses, how a request is answered, and its control endpoints."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.collection import Record
from sandbox.context import Context
from sandbox.pipedrive import answers, views, webhooks
from sandbox.pipedrive.account import OBJECTS, Account
from sandbox.pipedrive.fields import STANDARD, fields_entity
from sandbox.pipedrive.lists import Invalid, Listing, select, understand, write_cursor
from sandbox.pipedrive.living import Living
from sandbox.pipedrive.seed import TENANT, Story

_DEAL_FILTERS = ("owner_id", "person_id", "org_id", "pipeline_id", "stage_id")
LISTINGS = {
    "deals": Listing("deals", 10, _DEAL_FILTERS, True, include=views.INCLUDE["deals"], statuses=True),
    "deals/archived": Listing(
        "deals", 20, _DEAL_FILTERS, True, include=views.INCLUDE["deals"], statuses=True, prefix="archived "
    ),
    "persons": Listing("persons", 10, ("owner_id", "org_id"), True, include=views.INCLUDE["persons"]),
    "organizations": Listing("organizations", 10, ("owner_id",), True, include=views.INCLUDE["organizations"]),
    "activities": Listing(
        "activities", 10, ("owner_id", "deal_id", "lead_id", "person_id", "org_id", "done"), True,
        ("id", "update_time", "add_time", "due_date"), views.INCLUDE["activities"], custom=False,
    ),
    "products": Listing("products", 10, ("owner_id",), sorts=("id", "name", "add_time", "update_time")),
    "pipelines": Listing("pipelines", 5, ids=False, custom=False),
    "stages": Listing(
        "stages", 5, ("pipeline_id",), sorts=("id", "update_time", "add_time", "order_nr"), ids=False, custom=False
    ),
}  # fmt: skip
"""Path under /api/v2/ -> what it lists. Tokens and parameters: the vendor's OpenAPI description."""
FIELD_LISTS = {
    f"{fields_entity(entity).removesuffix('_fields')}Fields": entity for entity in STANDARD
}  # dealFields -> deals
FIELD_LISTING = Listing("", 10, sorts=("id",), ids=False, custom=False)
ONE_COST, USERS_COST, ME_COST = 1, 20, 2


class Outcome:
    """An answer and what to count it as."""

    def __init__(self, response: Response, entity: str = "-", method: str = "-", rows: int = 0) -> None:
        self.response, self.entity, self.method, self.rows = response, entity, method, rows


class PipedriveSource:
    """The Pipedrive of every tenant that has one."""

    def __init__(self, context: Context) -> None:
        self.context = context
        story = Story(context)
        self.accounts: dict[str, Account] = {TENANT: story.tell()}
        self.lives = {TENANT: Living(story)}
        self._pages: OrderedDict[str, Response] = OrderedDict()

    # -- what the sandbox asks ---------------------------------------------------------------------------------------

    def advance(self, to: datetime, tenant: str | None) -> dict[str, Any]:
        """Let the accounts live up to `to`."""
        return {name: life.live(to).describe() for name, life in self.lives.items() if tenant in (None, name)}

    def describe(self) -> dict[str, Any]:
        """Records per tenant and object."""
        return {
            name: {entity: len(table) for entity, table in account.tables.items()}
            | {entity: len(collection) for entity, collection in account.fields.items()}
            for name, account in self.accounts.items()
        }

    def close(self) -> None:
        """Nothing was started."""

    def truth(self, tenant: str, entity: str) -> list[Record]:
        """Every record as stored; of deleted ones only deals, which are served for 30 days."""
        account = self.accounts[tenant]
        if entity in account.fields:
            return list(account.fields[entity])
        return [row for row in account.tables[entity] if entity == "deals" or not row.get("is_deleted")]

    def change(self, tenant: str, entity: str, put: list[Record], delete: list[int | str]) -> list[int | str]:
        """Create, patch and delete as the web application would."""
        account, moment = self.accounts[tenant], self.context.clock.now()
        if entity in account.fields:
            owner = account.entity_of_fields(entity)
            codes: list[int | str] = [account.put_field(owner, record) for record in put]
            for code in delete:
                account.remove_field(owner, str(code))
            return codes
        ids: list[int | str] = []
        for record in put:
            if account.tables[entity].get(record.get("id", 0)) is None:
                ids.append(account.create(entity, record, moment))
            else:
                account.update(entity, record["id"], record, moment)
                ids.append(record["id"])
        for record_id in delete:
            account.delete(entity, int(record_id), moment)
        return ids

    # -- routes ------------------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """The API and the control endpoints."""
        anything = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return [
            Route("/pipedrive/{tenant}/api/v2/{path:path}", self.v2, methods=anything),
            Route("/pipedrive/{tenant}/api/v1/{path:path}", self.v1, methods=anything),
            Route("/pipedrive/{tenant}/v1/{path:path}", self.v1, methods=anything),
            Route("/pipedrive/{tenant}/oauth/token", self.oauth, methods=["POST"]),
            Route("/_sandbox/pipedrive/{tenant}/limits", self.limits, methods=["GET", "POST"]),
            Route("/_sandbox/pipedrive/{tenant}/login", self.login, methods=["GET", "DELETE"]),
            Route("/_sandbox/pipedrive/{tenant}/webhook", self.webhook, methods=["POST"]),
        ]

    async def v2(self, request: Request) -> Response:
        """Everything under /api/v2/."""
        path = request.path_params["path"].strip("/")
        if path in LISTINGS:
            listing = LISTINGS[path]
            return await self._serve(
                request, self._list, path, listing.entity, path.partition("/")[2] or "list", listing.cost
            )
        if path in FIELD_LISTS:
            entity = FIELD_LISTS[path]
            return await self._serve(request, self._fields, entity, fields_entity(entity), "list", FIELD_LISTING.cost)
        entity, _, number = path.partition("/")
        if entity in LISTINGS and number.isdigit():
            return await self._serve(request, self._one, f"{entity}/{number}", entity, "get", ONE_COST)
        return await self._serve(request, self._nothing, path, "-", "-", 0)

    async def v1(self, request: Request) -> Response:
        """Users; every v1 list that has a successor is gone."""
        path = request.path_params["path"].strip("/")
        if path == "users":
            return await self._serve(request, self._users, path, "users", "list", USERS_COST)
        if path == "users/me":
            return await self._serve(request, self._me, path, "users", "me", ME_COST)
        return await self._serve(request, self._nothing, path, "-", "-", 0)

    async def _serve(self, request: Request, answer: Any, path: str, entity: str, method: str, cost: int) -> Response:
        """Check who asks and whether they may; answer; let faults strike."""
        tenant = request.path_params["tenant"]
        account = self.accounts.get(tenant)
        if account is None:
            return await self._deliver(Outcome(answers.no_such_method(), entity, method), tenant, request)
        who = account.login.who(request)
        if isinstance(who, Response):
            return await self._deliver(Outcome(who, entity, method), tenant, request)
        refusal, headers = account.limits.admit(*who, cost, self.context.clock.now())
        if refusal is not None:
            return await self._deliver(Outcome(refusal, entity, method), tenant, request)
        ask = answer if request.method == "GET" else self._nothing
        outcome: Outcome = ask(account, path, request.query_params)
        outcome.entity, outcome.method = entity, method
        outcome.response.headers.update(headers)
        return await self._deliver(outcome, tenant, request)

    async def _deliver(self, outcome: Outcome, tenant: str, request: Request) -> Response:
        response = outcome.response
        own = self._own_faults(request, response) if self.context.faults.rules else None
        failed = response.status_code >= 400
        return await self.context.deliver(response, tenant, outcome.entity, outcome.method, outcome.rows, failed, own)

    def _own_faults(self, request: Request, response: Response) -> Mapping[str, Response]:
        """How Pipedrive words a fault. `repeat` serves the page that gave out this request's cursor."""
        own = {
            "401": answers.unauthorized(), "403": answers.banned(), "403:scope": answers.wrong_scope(),
            "429": answers.over_burst(reset=1), "429:budget": answers.over_budget(), "500:json": answers.server_error(500),
            "expired": answers.invalid("cursor: is invalid"), "expired:token": answers.expired_token(),
        }  # fmt: skip
        if response.status_code == 200 and b'"next_cursor":"' in response.body[-400:]:
            cursor = orjson.loads(response.body)["additional_data"]["next_cursor"]
            self._pages[request.url.path + cursor] = Response(response.body, media_type="application/json")
            while len(self._pages) > 50:
                self._pages.popitem(last=False)
        before = self._pages.get(request.url.path + request.query_params.get("cursor", ""))
        return own | ({"repeat": before} if before is not None else {"repeat": response})

    # -- answers -----------------------------------------------------------------------------------------------------

    def _list(self, account: Account, path: str, given: Mapping[str, str]) -> Outcome:
        listing = LISTINGS[path]
        table = account.tables[listing.entity]
        try:
            query = understand(listing, given)
        except Invalid as error:
            return Outcome(answers.invalid(str(error)))
        ids, cursor = select(table, listing, query)
        texts = [views.text(account, listing.entity, number, query) for number in ids]
        return Outcome(answers.page(texts, cursor), rows=len(ids))

    def _fields(self, account: Account, path: str, given: Mapping[str, str]) -> Outcome:
        """Fields in the order in which they were made; INVENTED: a cursor that counts them."""
        try:
            query = understand(FIELD_LISTING, given)
        except Invalid as error:
            return Outcome(answers.invalid(str(error)))
        collection = account.fields[fields_entity(path)]
        codes = list(collection.rows)
        begin = query.cursor[1] if query.cursor else 0
        end = begin + query.limit
        texts = [collection.text(code) for code in codes[begin:end]]
        cursor = write_cursor(query, (end, end)) if end < len(codes) else None
        return Outcome(answers.page(texts, cursor), rows=len(texts))

    def _one(self, account: Account, path: str, given: Mapping[str, str]) -> Outcome:
        """One record; a deleted deal is still there, other deleted records are not."""
        entity, _, number = path.partition("/")
        row = account.tables[entity].get(int(number))
        if row is None or (row.get("is_deleted") and entity != "deals"):
            return Outcome(answers.not_found())
        return Outcome(answers.found(row), rows=1)

    def _users(self, account: Account, path: str, given: Mapping[str, str]) -> Outcome:
        """All of them at once."""
        users = list(account.tables["users"])
        return Outcome(answers.answer({"success": True, "data": users}), rows=len(users))

    def _me(self, account: Account, path: str, given: Mapping[str, str]) -> Outcome:
        user = next(row for row in account.tables["users"] if row["is_you"])
        company = {"company_id": webhooks.COMPANY_ID, "company_name": "Skyfit GmbH", "company_domain": account.tenant}
        return Outcome(answers.answer({"success": True, "data": user | company}), rows=1)

    def _nothing(self, account: Account, path: str, given: Mapping[str, str]) -> Outcome:
        return Outcome(answers.no_such_method())

    # -- OAuth and control -------------------------------------------------------------------------------------------

    async def oauth(self, request: Request) -> Response:
        """Access tokens for a refresh token."""
        tenant = request.path_params["tenant"]
        account = self.accounts.get(tenant)
        response = answers.no_such_method() if account is None else await account.login.token(request)
        return await self._deliver(Outcome(response, "oauth", "token"), tenant, request)

    async def limits(self, request: Request) -> Response:
        """GET tells plan, seats, tokens used and requests refused; POST changes them (see `Limits.set`)."""
        limits = self.accounts[request.path_params["tenant"]].limits
        if request.method == "POST":
            try:
                limits.set(**await request.json())
            except (TypeError, ValueError) as error:
                return answers.answer({"error": str(error)}, 400)
        return answers.answer(limits.describe())

    async def login(self, request: Request) -> Response:
        """GET tells the credentials; DELETE lets every access token end."""
        login = self.accounts[request.path_params["tenant"]].login
        if request.method == "DELETE":
            login.expire()
        return answers.answer(login.describe())

    async def webhook(self, request: Request) -> Response:
        """`{"entity": "deals", "id": 1, "action": "change", "version": 2}` -> the body Pipedrive would POST."""
        asked = await request.json()
        account = self.accounts[request.path_params["tenant"]]
        entity, action = asked["entity"], asked.get("action", "change")
        if entity not in OBJECTS or action not in ("create", "change", "delete"):
            return answers.answer({"error": "entity or action is unknown"}, 400)
        return answers.answer(webhooks.body(account, entity, int(asked["id"]), action, int(asked.get("version", 2))))
