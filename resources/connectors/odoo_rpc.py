"""The two protocols that Odoo servers speak, behind one interface.

Up to version 18 that is JSON-RPC (`POST /jsonrpc`, errors come with HTTP status 200), from 19 on JSON-2 (`POST
/json/2/<model>/<method>`, an API key as bearer token, real status codes). What belongs here: wire formats, login,
version. What does not: which records to ask for.
"""

import io
import itertools
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import urlsplit
from urllib.request import Request

import msgspec
import odoorpc
import odoorpc.error

from resources.connectors import json_text
from resources.connectors.base import PermanentError
from resources.connectors.odoo_errors import NoSuchAddress, Place, odoo_error
from resources.http import HttpClient, Response
from resources.http_session import TryAgain, split_url

CONTEXT = {"active_test": False}
"""Sent with every call: archived records count as well, and nothing else of the user's context applies, so that values
and labels are the same whoever reads them in whatever language."""

FIELD_ATTRIBUTES = ["type", "string", "relation", "store"]

FIRST_JSON2_VERSION = 19

GATEWAY_STATUSES = (429, 502, 503, 504)
"""Not Odoo's own verdict on a call, but of what stands before it."""

# odoorpc writes whole requests, with the password, and whole answers to its debug log.
logging.getLogger("odoorpc.rpc.jsonrpclib").addFilter(lambda record: False)


@dataclass(frozen=True)
class Endpoint:
    """One database of one server, and who reads it."""

    url: str
    database: str
    username: str
    secret: str
    keys: str
    """The path of the source's block in `lake.yaml`, for messages."""

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, {self.database!r})"

    def place(self, where: str) -> Place:
        return Place(where, self.keys, self.database, self.secret)


@dataclass(frozen=True)
class Reply:
    """A method's result."""

    value: Any
    read_at: datetime
    """When the request began, UTC."""
    seconds: float


class Rpc(Protocol):
    """A logged-in user's access to one database. Threads may share it; its methods raise `SourceError` subclasses."""

    protocol: str
    version: str
    uid: int

    def call(
        self,
        model: str,
        method: str,
        table: str | None = None,
        domain: Any = None,
        *,
        undecoded: bool = False,
        **named: Any,
    ) -> Reply:
        """`env[model].method(domain, **named)` on the server, with `CONTEXT`.

        Parameters:
            domain: the search condition, for methods that take one.
            table: the lake's name for it, for messages, logs and counters.
            undecoded: give the items of a list as JSON texts, if the answer is strictly JSON.
        """
        ...

    def fields(self, model: str, table: str | None = None) -> dict[str, dict[str, Any]]:
        """The model's fields that this user may see: name -> `FIELD_ATTRIBUTES`."""
        ...


def log_in(http: HttpClient, endpoint: Endpoint, protocol: str) -> Rpc:
    """Find out what the server speaks and log in.

    Parameters:
        protocol: `auto`, `jsonrpc` or `json2`.

    Raises:
        PermanentError: wrong user, password, key, database or address.
        TransientError: no answer.
    """
    if protocol == "json2":
        return Json2(http, endpoint, version="")
    opener = _Opener(http, endpoint)
    version, odoo = _server_version(http, endpoint, opener)
    if protocol == "auto" and _major(version) >= FIRST_JSON2_VERSION:
        return Json2(http, endpoint, version)
    if odoo is None:
        raise PermanentError(
            f"{http.where()}: the server (Odoo {version}) does not speak JSON-RPC any more."
            f" Set {endpoint.keys}.protocol to json2."
        )
    return JsonRpc(http, endpoint, odoo, opener)


class JsonRpc:
    """JSON-RPC: odoorpc holds the session and asks for metadata; records come over the pooled connections.

    odoorpc opens a connection for every call and shares a cookie jar between threads. Here all its requests go through
    `_Opener`, which has neither, and after the login it changes nothing of its own state, so threads may share it.
    """

    protocol = "JSON-RPC"

    def __init__(self, http: HttpClient, endpoint: Endpoint, odoo: odoorpc.ODOO, opener: "_Opener") -> None:
        self._http, self._endpoint, self._odoo, self._opener = http, endpoint, odoo, opener
        self._request_ids = itertools.count(1)
        self.version = str(odoo.version)
        try:
            odoo.login(endpoint.database, endpoint.username, endpoint.secret)
        except odoorpc.error.Error:
            # A wrong password is answered with `false`, which odoorpc turns into its own error.
            raise odoo_error(endpoint.place(http.where()), None, "odoo.exceptions.AccessDenied", "") from None
        except (KeyError, TypeError, ValueError):
            raise _no_odoo(http, endpoint) from None
        self.uid = int(cast(Any, odoo.env).uid)

    def call(
        self,
        model: str,
        method: str,
        table: str | None = None,
        domain: Any = None,
        *,
        undecoded: bool = False,
        **named: Any,
    ) -> Reply:
        end = self._endpoint
        # By position: up to version 16, `search` has another name for it.
        positional = [] if domain is None else [domain]
        arguments = [end.database, self.uid, end.secret, model, method, positional, {**named, "context": CONTEXT}]
        envelope = {
            "jsonrpc": "2.0",
            "method": "call",
            "params": {"service": "object", "method": "execute_kw", "args": arguments},
            "id": next(self._request_ids),
        }

        def parse(response: Response) -> Reply:
            return Reply(_result(response, end, model, undecoded), response.read_at, response.seconds)

        return self._http.fetch("POST", f"{end.url}/jsonrpc", json=envelope, parse=parse, table=table)

    def fields(self, model: str, table: str | None = None) -> dict[str, dict[str, Any]]:
        with self._opener.asking_for(model, table):
            named = {"attributes": FIELD_ATTRIBUTES, "context": CONTEXT}
            return _described(self._odoo.execute_kw(model, "fields_get", [], named), model, self._http.where(table))


class Json2:
    """JSON-2, for Odoo 19 and later."""

    protocol = "JSON-2"

    def __init__(self, http: HttpClient, endpoint: Endpoint, version: str) -> None:
        self._http, self._endpoint = http, endpoint
        for key, value in (("password", endpoint.secret), ("database", endpoint.database)):
            if not (value.isascii() and value.isprintable()):
                raise PermanentError(
                    f"{http.where()}: {endpoint.keys}.{key} holds characters that no HTTP header carries."
                )
        self._headers = {"Authorization": f"bearer {endpoint.secret}", "X-Odoo-Database": endpoint.database}
        self.version = version
        # There is no login; the first call tells whether the key is good.
        context = self.call("res.users", "context_get").value
        self.uid = int(context.get("uid") or 0) if isinstance(context, Mapping) else 0

    def call(
        self,
        model: str,
        method: str,
        table: str | None = None,
        domain: Any = None,
        *,
        undecoded: bool = False,
        **named: Any,
    ) -> Reply:
        url = f"{self._endpoint.url}/json/2/{model}/{method}"
        if domain is not None:
            named["domain"] = domain

        def parse(response: Response) -> Reply:
            return Reply(self._parse(response, model, undecoded), response.read_at, response.seconds)

        return self._http.fetch(
            "POST", url, json={**named, "context": CONTEXT}, headers=self._headers, parse=parse, table=table
        )

    def fields(self, model: str, table: str | None = None) -> dict[str, dict[str, Any]]:
        reply = self.call(model, "fields_get", table, attributes=FIELD_ATTRIBUTES)
        return _described(reply.value, model, self._http.where(table))

    def _parse(self, response: Response, model: str, undecoded: bool) -> Any:
        if response.status == HTTPStatus.OK:
            if undecoded and (texts := json_text.items(response.body)) is not None:
                return texts
            return _json(response, self._endpoint)
        place = self._endpoint.place(response.where)
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise PermanentError(
                f"{place.where}: the server refused the API key. JSON-2 takes no password: put an API key (Preferences,"
                f" Account Security) into {place.keys}.password, or set {place.keys}.protocol to jsonrpc while the"
                " server still speaks it."
            )
        try:
            body = json_text.decode(response.body)
        except ValueError:
            body = None
        if response.status in GATEWAY_STATUSES or not isinstance(body, Mapping) or "name" not in body:
            _check_status(response, place)
            raise TryAgain(f"{response.path} answered HTTP {response.status} without a result")
        name, message = str(body["name"]), str(body.get("message", ""))
        if response.status == HTTPStatus.NOT_FOUND and name.endswith("NotFound"):
            raise place.no_such_model(model)
        raise odoo_error(place, model, name, message)


class _Asked(threading.local):
    """What the current thread asks about."""

    model: str | None = None
    table: str | None = None


class _Opener:
    """What odoorpc sends requests with, made of our client: the URL's path prefix, pooled connections, bounds,
    retries."""

    def __init__(self, http: HttpClient, endpoint: Endpoint) -> None:
        self._http, self._endpoint = http, endpoint
        self._asked = _Asked()

    @contextmanager
    def asking_for(self, model: str, table: str | None) -> Iterator[None]:
        """Requests of this thread are about `model`, for messages, logs and counters."""
        self._asked.model, self._asked.table = model, table
        try:
            yield
        finally:
            self._asked.model = self._asked.table = None

    def open(self, request: Request, timeout: float | None = None) -> io.BytesIO:
        model, table = self._asked.model, self._asked.table
        url = self._endpoint.url + urlsplit(request.full_url).path

        def parse(response: Response) -> Any:
            return _result(response, self._endpoint, model)

        headers = {"Content-Type": "application/json"}
        result = self._http.fetch(
            "POST", url, data=cast(bytes, request.data), headers=headers, parse=parse, table=table
        )
        # odoorpc expects a `result`, which Odoo leaves out where a method returned None.
        return io.BytesIO(msgspec.json.encode({"result": result}))


def _server_version(http: HttpClient, endpoint: Endpoint, opener: _Opener) -> tuple[str, odoorpc.ODOO | None]:
    """The server's version, and odoorpc's client if it could be made (it asks for the version itself)."""
    parts = split_url(endpoint.url, http.where())
    protocol = "jsonrpc+ssl" if parts.scheme == "https" else "jsonrpc"
    try:
        odoo = odoorpc.ODOO(
            parts.hostname or "", protocol, parts.port or (443 if parts.scheme == "https" else 80), opener=opener
        )
        version = str(odoo.version or "")
    except NoSuchAddress:
        odoo, version = (
            None,
            http.fetch("GET", f"{endpoint.url}/web/version", parse=lambda response: _web_version(response, endpoint)),
        )
    except (KeyError, TypeError, AttributeError):
        odoo, version = None, ""
    if not version:
        raise _no_odoo(http, endpoint)
    return version, odoo


def _no_odoo(http: HttpClient, endpoint: Endpoint) -> PermanentError:
    return PermanentError(f"{http.where()}: what answers is not an Odoo server. Check {endpoint.keys}.url.")


def _web_version(response: Response, endpoint: Endpoint) -> str:
    _check_status(response, endpoint.place(response.where))
    answer = _json(response, endpoint)
    return str(answer.get("version", "")) if isinstance(answer, Mapping) else ""


def _major(version: str) -> int:
    """17 for `17.0`, 18 for `saas~18.4+e`; 0 where there is no number."""
    found = re.search(r"\d+", version)
    return int(found.group()) if found else 0


def _result(response: Response, endpoint: Endpoint, model: str | None, undecoded: bool = False) -> Any:
    """The `result` of a JSON-RPC answer; None where a method returned nothing."""
    place = endpoint.place(response.where)
    _check_status(response, place)
    if undecoded and (texts := json_text.items(response.body, "result")) is not None:
        return texts
    envelope = _json(response, endpoint)
    if not isinstance(envelope, Mapping):
        raise TryAgain("the answer is not a JSON-RPC envelope")
    error = envelope.get("error")
    if error is None:
        return envelope.get("result")
    data = error.get("data") if isinstance(error, Mapping) else None
    data = data if isinstance(data, Mapping) else {}
    if isinstance(error, Mapping) and error.get("code") == HTTPStatus.NOT_FOUND:
        raise _no_such_address(response, place)
    raise odoo_error(place, model, str(data.get("name", "")), str(data.get("message", "")))


def _described(fields: Any, model: str, where: str) -> dict[str, dict[str, Any]]:
    if not isinstance(fields, dict) or not all(
        isinstance(field, dict) and "type" in field for field in fields.values()
    ):
        raise PermanentError(f"{where}: the server does not describe the fields of {model} as Odoo does.")
    return fields


def _json(response: Response, endpoint: Endpoint) -> Any:
    try:
        return json_text.decode(response.body)
    except ValueError:
        kind = response.headers.get("Content-Type", "").partition(";")[0] or "something"
        raise TryAgain(
            f"{response.path} answered with {kind} that is not JSON (is {endpoint.keys}.url Odoo's own address?)"
        ) from None


def _check_status(response: Response, place: Place) -> None:
    if response.status == HTTPStatus.NOT_FOUND:
        raise _no_such_address(response, place)
    response.raise_for_status()


def _no_such_address(response: Response, place: Place) -> NoSuchAddress:
    return NoSuchAddress(
        f"{place.where}: the server has nothing at {response.path}. Check {place.keys}.url and {place.keys}.protocol"
        " (jsonrpc up to Odoo 18, json2 from 19 on)."
    )
