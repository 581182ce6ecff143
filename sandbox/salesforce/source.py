"""Salesforce as a source of the sandbox: the org of northwind, its REST addresses under `/salesforce/<tenant>/`, and
how time passes in it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.collection import Record
from sandbox.context import Context
from sandbox.salesforce import login, query
from sandbox.salesforce.errors import (
    JSON,
    OWN_FAULTS,
    Refusal,
    error,
    expired_cursor,
    expired_session,
    limit_exceeded,
    login_faults,
    not_found,
)
from sandbox.salesforce.living import Northwind
from sandbox.salesforce.org import Cursor, Org
from sandbox.salesforce.seed import Seed
from sandbox.salesforce.soql import SoqlError, parse
from sandbox.salesforce.table import Table
from sandbox.world import World

OPPORTUNITIES = 500
VERSIONS = range(56, 63)
LONGEST_ADDRESS = 16_384
"""Bytes of path and query."""
BATCH, SMALLEST_BATCH = 2000, 200


@dataclass
class Answer:
    """An answer and what faults and counters go by."""

    response: Response
    entity: str = "-"
    method: str = "-"
    rows: int = 0
    failed: bool = False
    own: dict[str, Response] = field(default_factory=dict)


Handler = Callable[[Org, str, Request], Answer]


class SalesforceSource:
    """The orgs of all tenants: northwind's."""

    def __init__(self, context: Context) -> None:
        self.context = context
        options, clock = context.options, context.clock
        org = Org("northwind", clock)
        world = World("northwind", options.seed, companies=max(20, round(200 * options.scale)))
        seed = Seed(org, world, clock.start, options.amount(OPPORTUNITIES), context.identities)
        seed.fill()
        self.orgs = {"northwind": org}
        self.stories = {"northwind": Northwind(seed, options.scale)}

    # -- the sandbox's side ----------------------------------------------------------------------------------------------

    def advance(self, to: datetime, tenant: str | None) -> dict[str, Any]:
        """Let the orgs live up to `to`."""
        return {name: story.live(to) for name, story in self.stories.items() if tenant in (None, name)}

    def describe(self) -> dict[str, Any]:
        """Records per tenant and object, those in the recycle bin included."""
        return {
            name: {table.entity: len(table) for table in org.tables.values() if len(table)}
            for name, org in self.orgs.items()
        }

    def truth(self, tenant: str, entity: str) -> list[Record]:
        """Every record as stored."""
        return list(self.orgs[tenant].of_entity(entity))

    def change(self, tenant: str, entity: str, put: list[Record], delete: list[int | str]) -> list[int | str]:
        """Create or patch records, stamped now unless a record brings its own SystemModstamp (which makes it one that
        was committed late); delete some into the recycle bin."""
        org, now = self.orgs[tenant], self.context.clock.now()
        table = org.of_entity(entity)
        ids: list[int | str] = []
        for values in put:
            if values.get("Id") in table.rows:
                org.update(table.name, values["Id"], values, now)
                ids.append(values["Id"])
            else:
                ids.append(org.create(table.name, values, now))
        for record_id in delete:
            org.delete(table.name, str(record_id), now)
        return ids

    def close(self) -> None:
        """Nothing was started."""

    # -- routes ----------------------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """Login, data and control addresses."""
        root = "/salesforce/{tenant}/services"
        data = root + "/data/{version}"
        paths: dict[str, Handler] = {
            "/query": self._query, "/queryAll": self._query_all, "/query/{locator}": self._query_more,
            "/queryAll/{locator}": self._query_more, "/sobjects": self._sobjects,
            "/sobjects/{object}/describe": self._describe, "/limits": self._limits,
        }  # fmt: skip
        control = "/_sandbox/salesforce/{tenant}"
        return [
            Route(root + "/oauth2/token", self._token, methods=["POST"]),
            Route(root + "/data", self._versions),
            Route(root + "/data/", self._versions),
            *(Route(data + path + end, self._endpoint(to)) for path, to in paths.items() for end in ("", "/")),
            Route(root + "/{rest:path}", self._endpoint(self._nothing)),
            Route(control + "/limits", self._control(_set_limits), methods=["POST"]),
            Route(control + "/sessions", self._control(_end_sessions), methods=["DELETE"]),
            Route(control + "/keys", self._control(_register_key), methods=["POST"]),
            Route(control + "/objects/{object}", self._control(_change_object), methods=["POST"]),
            Route(control + "/merge", self._control(_merge), methods=["POST"]),
        ]

    async def _token(self, request: Request) -> Response:
        org = self.orgs.get(request.path_params["tenant"])
        if org is None:
            return await self._deliver("-", Answer(not_found().response(), failed=True))
        response, failed = await login.token(org, request)
        return await self._deliver(org.tenant, Answer(response, method="token", failed=failed, own=login_faults()))

    async def _versions(self, request: Request) -> Response:
        said = [{"label": f"v{n}", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in VERSIONS]
        answer = Answer(Response(orjson.dumps(said), media_type=JSON), method="versions")
        return await self._deliver(request.path_params["tenant"], answer)

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            org = self.orgs.get(request.path_params["tenant"])
            if org is None:
                return await self._deliver("-", Answer(not_found().response(), failed=True))
            return await self._deliver(org.tenant, self._answer(org, handler, request))

        return endpoint

    def _answer(self, org: Org, handler: Handler, request: Request) -> Answer:
        if len(request.url.path) + len(request.url.query) > LONGEST_ADDRESS:
            # INVENTED: the page that a front server would send
            page = "<html><head><title>414 URI Too Long</title></head><body>URI Too Long</body></html>"
            return Answer(Response(page, 414, media_type="text/html"), failed=True)
        try:
            kind, _, session = request.headers.get("authorization", "").partition(" ")
            if kind not in ("Bearer", "OAuth") or not org.is_logged_in(session):
                raise expired_session()
            if not org.count_request():
                raise limit_exceeded()
            version = request.path_params.get("version", "v62.0")
            if version not in {f"v{number}.0" for number in VERSIONS}:
                raise not_found()
            answer = handler(org, version, request)
        except Refusal as refusal:
            answer = Answer(refusal.response(), method=handler.__name__.lstrip("_"), failed=True)
        except SoqlError as refusal:
            answer = Answer(error(400, refusal.code, str(refusal)), method=handler.__name__.lstrip("_"), failed=True)
        answer.response.headers["Sforce-Limit-Info"] = f"api-usage={org.used_requests()}/{org.daily_requests}"
        answer.response.headers["X-SFDC-Request-Id"] = org.new_request_id()
        return answer

    async def _deliver(self, tenant: str, answer: Answer) -> Response:
        own = answer.own
        if self.context.faults.rules:
            own = {kind: refusal().response() for kind, refusal in OWN_FAULTS.items()} | own
            if answer.method == "query_more":
                own["expired"] = expired_cursor().response()
        return await self.context.deliver(
            answer.response, tenant, answer.entity, answer.method, answer.rows, answer.failed, own
        )

    # -- the data API ----------------------------------------------------------------------------------------------------

    def _query(self, org: Org, version: str, request: Request) -> Answer:
        return self._run(org, version, request, deleted=False)

    def _query_all(self, org: Org, version: str, request: Request) -> Answer:
        return self._run(org, version, request, deleted=True)

    def _run(self, org: Org, version: str, request: Request, deleted: bool) -> Answer:
        asked = parse(request.query_params.get("q", ""))
        table = org.table(asked.source)
        if table is None:
            raise SoqlError("INVALID_TYPE", f"sObject type '{asked.source}' is not supported.")
        method = "query_all" if deleted else "query"
        found = query.run(table, asked, deleted)
        if found.total is not None:
            body = b'{"totalSize":%d,"done":true,"records":[]}' % found.total
            return Answer(Response(body, media_type=JSON), table.entity, method)
        if found.aggregates is not None:
            rows = [{"attributes": {"type": "AggregateResult"}} | row for row in found.aggregates]
            said = {"totalSize": len(rows), "done": True, "records": rows}
            return Answer(Response(orjson.dumps(said), media_type=JSON), table.entity, method, len(rows))
        batch = _batch_size(request)
        locator = ""
        if len(found.records) > batch:
            cursor = Cursor(table, found.records, found.columns, batch, self.context.clock.now())
            locator = org.open_cursor(cursor)
        return Answer(
            _page(table, found.records, found.columns, 0, batch, version, locator), table.entity, method,
            min(batch, len(found.records)),
        )  # fmt: skip

    def _query_more(self, org: Org, version: str, request: Request) -> Answer:
        locator, _, offset = request.path_params["locator"].partition("-")
        cursor = org.cursor(locator)
        if cursor is None or not offset.isdigit() or int(offset) >= len(cursor.records):
            raise expired_cursor()
        table, begin = cursor.table, int(offset)

        def page(begin: int) -> Response:
            return _page(table, cursor.records, cursor.columns, begin, cursor.batch, version, locator)

        own = {"repeat": page(max(0, begin - cursor.batch))} if self.context.faults.rules else {}
        rows = min(cursor.batch, len(cursor.records) - begin)
        answer = Answer(page(begin), table.entity, "query_more", rows, own=own)
        if begin + cursor.batch >= len(cursor.records):
            org.close_cursor(locator)
        return answer

    def _sobjects(self, org: Org, version: str, request: Request) -> Answer:
        tables = [table.describe(version, brief=True) for table in org.tables.values() if table.visible]
        said = {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": tables}
        return Answer(Response(orjson.dumps(said), media_type=JSON), method="sobjects")

    def _describe(self, org: Org, version: str, request: Request) -> Answer:
        table = org.table(request.path_params["object"])
        if table is None:
            raise not_found()
        said = orjson.dumps(table.describe(version))
        return Answer(Response(said, media_type=JSON), table.entity, "describe")

    def _limits(self, org: Org, version: str, request: Request) -> Answer:
        left = max(0, org.daily_requests - org.used_requests())
        said = {
            "DailyApiRequests": {"Max": org.daily_requests, "Remaining": left},
            "DataStorageMB": {"Max": 1024, "Remaining": 900},
        }
        return Answer(Response(orjson.dumps(said), media_type=JSON), method="limits")

    def _nothing(self, org: Org, version: str, request: Request) -> Answer:
        raise not_found()

    # -- control ---------------------------------------------------------------------------------------------------------

    def _control(self, act: Callable[[Org, dict[str, Any], Context], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            given = {**(orjson.loads(body) if body else {}), **request.path_params}
            said = act(self.orgs[request.path_params["tenant"]], given, self.context)
            return Response(orjson.dumps(said), media_type="application/json")

        return endpoint


def _batch_size(request: Request) -> int:
    """What `Sforce-Query-Options: batchSize=500` asks for, within the bounds."""
    for option in request.headers.get("sforce-query-options", "").split(","):
        name, _, value = option.partition("=")
        if name.strip().lower() == "batchsize" and value.strip().isdigit():
            return min(BATCH, max(SMALLEST_BATCH, int(value)))
    return BATCH


def _page(
    table: Table, records: list[Record], columns: tuple[str, ...], begin: int, batch: int, version: str, locator: str
) -> Response:
    texts = table.texts(records[begin : begin + batch], columns, version)
    end = begin + batch
    more = b""
    if end < len(records):
        more = b'"nextRecordsUrl":"/services/data/%s/query/%s-%d",' % (version.encode(), locator.encode(), end)
    done = b"false" if more else b"true"
    body = b'{"totalSize":%d,"done":%s,%s"records":[%s]}' % (len(records), done, more, b",".join(texts))
    return Response(body, media_type=JSON)


def _set_limits(org: Org, given: dict[str, Any], context: Context) -> dict[str, Any]:
    """`{"daily": calls a day, "used": calls already made, "session_seconds": ..., "cursors": open at once}`"""
    org.daily_requests = int(given.get("daily", org.daily_requests))
    if "used" in given:
        org.set_used(int(given["used"]))
    if "session_seconds" in given:
        org.session_life = timedelta(seconds=float(given["session_seconds"]))
    org.cursors_allowed = int(given.get("cursors", org.cursors_allowed))
    return {"daily": org.daily_requests, "used": org.used_requests(), "cursors": org.cursors_allowed}


def _end_sessions(org: Org, given: dict[str, Any], context: Context) -> dict[str, Any]:
    """All sessions end; `{"cursors": true}`: all open cursors instead."""
    if given.get("cursors"):
        org.close_cursors()
    else:
        org.end_sessions()
    return {}


def _register_key(org: Org, given: dict[str, Any], context: Context) -> dict[str, Any]:
    """`{"public_key": PEM}`: the certificate of the connected app."""
    org.public_keys.append(str(given["public_key"]))
    return {"keys": len(org.public_keys)}


def _change_object(org: Org, given: dict[str, Any], context: Context) -> dict[str, Any]:
    """`{"add": ["Name__c string", ...], "remove": [field, ...], "visible": bool}`"""
    table = org.of_entity(given["object"])
    for line in given.get("add", []):
        org.add_field(table.name, line)
    for name in given.get("remove", []):
        table.remove_field(name)
    table.visible = bool(given.get("visible", table.visible))
    return {"fields": list(table.fields)}


def _merge(org: Org, given: dict[str, Any], context: Context) -> dict[str, Any]:
    """`{"object": "account", "winner": id, "loser": id}` -> object -> ids that moved over."""
    table = org.of_entity(given["object"])
    return org.merge(table.name, given["winner"], given["loser"], context.clock.now())
