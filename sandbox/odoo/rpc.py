"""The wire of Odoo 17 and older: `/jsonrpc` (services common and object) and the web client's JSON routes.

Errors travel as HTTP 200 with an `error` member; HTTP 400 is for what is no JSON-RPC at all. The real server closed the
connection after every reply it was recorded giving; a front proxy normally keeps it alive, so that is the default here
and `--connection-close` shows the other side.
"""

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox.odoo import errors
from sandbox.odoo.methods import Call, Encoded, invoke
from sandbox.odoo.tenant import Tenant
from sandbox.odoo.views import dumps

JSON_TYPE = "application/json; charset=utf-8"
_BAD_REQUEST = (
    "<!doctype html>\n<html lang=en>\n<title>400 Bad Request</title>\n<h1>Bad Request</h1>\n"
    "<p>Request inferred type is compatible with [&#39;http&#39;] but &#39;{path}&#39; is type=&#39;json&#39;.</p>\n"
)
_COOL_DOWN_S, _TOLERATED_FAILURES = 60.0, 10


@dataclass
class Outcome:
    """An answer with what the traffic counters and faults want to know about the question."""

    response: Response
    database: str = "-"
    model: str = "-"
    method: str = "-"
    rows: int = 0
    failed: bool = False
    down: Response | None = None


@dataclass
class Odoo:
    """One server address: its databases and the version it claims to be."""

    tenants: dict[str, Tenant]
    version: int = 17
    only: str | None = None  # the database of a prefixed address; it knows no other
    sessions: dict[str, tuple[str, int]] = field(default_factory=dict)
    failures: list[float] = field(default_factory=list)

    def tenant(self, name: Any) -> Tenant:
        """The database a call names."""
        tenant = self.tenants.get(name) if self.only in (None, name) else None
        if tenant is None:
            raise errors.unknown_database(str(name))
        tenant.settle()
        return tenant

    def version_info(self) -> dict[str, Any]:
        """What `common.version` says."""
        serie = f"{self.version}.0"
        info = [self.version, 0, 0, "final", 0, ""]
        return {"server_version": serie, "server_version_info": info, "server_serie": serie, "protocol_version": 1}


async def jsonrpc(odoo: Odoo, request: Request) -> Outcome:
    """`POST /jsonrpc`."""
    return await _answer(request, lambda message, outcome: _service(odoo, message, outcome))


async def web_json(odoo: Odoo, request: Request, route: str) -> Outcome:
    """`POST /web/...` of type JSON."""
    handlers = {
        "webclient/version_info": lambda params, outcome, response: odoo.version_info(),
        "session/authenticate": lambda params, outcome, response: _open_session(odoo, params, response),
        "session/destroy": lambda params, outcome, response: None,
        "dataset/call_kw": lambda params, outcome, response: _call_kw(odoo, request, params, outcome),
    }
    handler = next((handler for name, handler in handlers.items() if route.startswith(name)), None)
    if handler is None:
        return Outcome(not_found())
    cookies: dict[str, str] = {}
    outcome = await _answer(request, lambda message, found: handler(message.get("params") or {}, found, cookies))
    for name, value in cookies.items():
        outcome.response.set_cookie(name, value, httponly=True, max_age=604800)
    return outcome


async def _answer(request: Request, work: Any) -> Outcome:
    """Read a JSON-RPC message, do the work, wrap result or error."""
    path = request.url.path
    if request.method != "POST" or "json" not in request.headers.get("content-type", ""):
        shown = path[max(path.find("/jsonrpc"), path.find("/web/"), 0) :]  # without the proxy's prefix
        return Outcome(Response(_BAD_REQUEST.format(path=shown), 400, media_type="text/html"))
    try:
        message = json.loads(await request.body())
        if not isinstance(message, dict):
            raise ValueError("no object")
    except ValueError:
        return Outcome(Response("Invalid JSON data", 400, media_type="text/html"))
    outcome = Outcome(Response())
    head = b'{"jsonrpc": "2.0", "id": ' + dumps(message.get("id"))
    try:
        result = work(message, outcome)
        if result is None:  # a method that returns None gives a reply without `result`
            body = head + b"}"
        elif isinstance(result, Encoded):
            outcome.rows = result.rows
            body = b"".join((head, b', "result": ', result.body, b"}"))
        else:
            outcome.rows = len(result) if isinstance(result, list) else 0
            body = b"".join((head, b', "result": ', dumps(result), b"}"))
    except Exception as error:
        outcome.failed = True
        body = b"".join((head, b', "error": ', dumps(errors.envelope(error)), b"}"))
    outcome.response = Response(body, headers={"Content-Type": JSON_TYPE})
    down = b"".join((head, b', "error": ', dumps(errors.envelope(errors.database_down())), b"}"))
    outcome.down = Response(down, headers={"Content-Type": JSON_TYPE})
    return outcome


def _service(odoo: Odoo, message: dict[str, Any], outcome: Outcome) -> Any:
    params = message.get("params") or {}
    for name in ("service", "method", "args"):
        if name not in params:
            raise TypeError(f"RPC.jsonrpc() missing 1 required positional argument: {name!r}")
    service, method, args = params["service"], params["method"], params["args"]
    if service == "common":
        return _common(odoo, method, args, outcome)
    if service == "object":
        return _object(odoo, method, args, outcome)
    if service == "db" and method in ("server_version", "list"):
        return odoo.version_info()["server_version"] if method == "server_version" else sorted(odoo.tenants)
    raise KeyError(service)


def _common(odoo: Odoo, method: str, args: list[Any], outcome: Outcome) -> Any:
    outcome.model, outcome.method = "common", method
    if method == "version":
        if args:
            raise TypeError(f"exp_version() takes 0 positional arguments but {len(args)} was given")
        return odoo.version_info()
    if method not in ("login", "authenticate"):
        raise Exception(f"Method not found: {method}")
    outcome.database = str(args[0])
    return odoo.tenant(args[0]).access.login(args[1], args[2]) or False


def _object(odoo: Odoo, method: str, args: list[Any], outcome: Outcome) -> Any:
    if method not in ("execute", "execute_kw"):
        raise NameError(f"Method not available {method}")
    database, uid, password, model, name, *rest = args
    outcome.database, outcome.model, outcome.method = str(database), str(model), str(name)
    tenant = odoo.tenant(database)
    uid = tenant.access.authenticate(uid, password)
    if method == "execute":
        positional, keywords = rest, {}
    else:
        positional, keywords = (rest[0] if rest else []), (rest[1] if len(rest) > 1 else {})
    return invoke(Call(tenant, uid, model), name, list(positional), keywords or {})


def _open_session(odoo: Odoo, params: dict[str, Any], cookies: dict[str, str]) -> Any:
    """The web client's login, with its cool-down after ten failures."""
    tenant = odoo.tenant(params.get("db"))
    recent = [moment for moment in odoo.failures if time.monotonic() - moment < _COOL_DOWN_S]
    odoo.failures[:] = recent
    if len(recent) >= _TOLERATED_FAILURES:
        raise errors.access_denied("Too many login failures, please wait a bit before trying again.")
    login = str(params.get("login"))
    uid = tenant.access.login(login, str(params.get("password")))
    if uid is None:
        odoo.failures.append(time.monotonic())
        raise errors.access_denied()
    odoo.failures.clear()
    session = cookies["session_id"] = secrets.token_hex(20)
    odoo.sessions[session] = (tenant.name, uid)
    version = odoo.version_info()
    user = {"uid": uid, "username": login, "is_admin": uid == 2, "is_system": uid == 2, "db": tenant.name}
    context = {"lang": "en_US", "tz": "Europe/Berlin", "uid": uid}
    return user | {"user_context": context} | {k: version[k] for k in ("server_version", "server_version_info")}


def _call_kw(odoo: Odoo, request: Request, params: dict[str, Any], outcome: Outcome) -> Any:
    session = odoo.sessions.get(request.cookies.get("session_id", ""))
    if session is None:
        raise errors.session_expired()
    database, uid = session
    outcome.database, outcome.model, outcome.method = database, str(params["model"]), str(params["method"])
    call = Call(odoo.tenant(database), uid, params["model"])
    return invoke(call, params["method"], params.get("args") or [], params.get("kwargs") or {})


def not_found() -> Response:
    """The page of an address that does not exist (the recorded one, without its scripts)."""
    page = (
        "<!DOCTYPE html>\n<html>\n    <head>\n        <title>Odoo</title>\n    </head>\n    <body>\n"
        "        <h1>404: Page not found!</h1>\n    </body>\n</html>\n"
    )
    return Response(page, 404, media_type="text/html")
