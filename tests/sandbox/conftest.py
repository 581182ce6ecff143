"""A running sandbox for the tests of this folder, and a bare JSON-RPC client for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from sandbox.server import Sandbox, running

START = "2026-11-14"
LOGINS = {"admin": 2, "lowpriv": 8, "salesown": 9}


@dataclass
class Rpc:
    """Speaks JSON-RPC to one address and gives the raw answers."""

    url: str
    database: str
    http: requests.Session

    def post(self, params: dict[str, Any], path: str = "/jsonrpc") -> requests.Response:
        """One message; the HTTP answer."""
        message = {"jsonrpc": "2.0", "method": "call", "id": 7, "params": params}
        return self.http.post(self.url + path, json=message, timeout=30)

    def raw(self, model: str, method: str, *args: Any, login: str = "admin", **kwargs: Any) -> dict[str, Any]:
        """`execute_kw`; the whole envelope."""
        call = [self.database, LOGINS[login], login, model, method, list(args), kwargs]
        return self.post({"service": "object", "method": "execute_kw", "args": call}).json()

    def call(self, model: str, method: str, *args: Any, login: str = "admin", **kwargs: Any) -> Any:
        """`execute_kw`; the result."""
        answer = self.raw(model, method, *args, login=login, **kwargs)
        assert "error" not in answer, answer["error"]["data"]
        return answer.get("result")

    def error(self, model: str, method: str, *args: Any, login: str = "admin", **kwargs: Any) -> dict[str, Any]:
        """`execute_kw`; the `error.data` it must answer."""
        return self.raw(model, method, *args, login=login, **kwargs)["error"]["data"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """All databases, started at a fixed moment; shared by a module, which may change it."""
    with running(start=START, seed=7, sources="odoo") as server:
        yield server


@pytest.fixture(scope="module")
def connect(sandbox: Sandbox) -> Callable[..., Rpc]:
    """`connect(database, version=17)` -> client of the prefixed address."""
    http = requests.Session()
    http.trust_env = False
    return lambda database="northwind", version=17: Rpc(sandbox.odoo_url(database, version), database, http)


@pytest.fixture(scope="module")
def rpc(connect: Callable[..., Rpc]) -> Rpc:
    """Client of northwind."""
    return connect()
