"""Starting and steering a sandbox: `serve()` in this process, `running()` in a process of its own, `Sandbox` as its client."""

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import uvicorn

from sandbox.app import build
from sandbox.context import Options

HOST = "127.0.0.1"


def serve(port: int, options: Options | None = None, fd: int | None = None) -> None:
    """Serve on loopback until stopped. `fd`: an already listening socket to use instead of a port."""
    gc.disable()  # generating millions of values: the collector would only look at all of them again and again
    app = build(options or Options())
    gc.freeze()
    gc.enable()
    config = uvicorn.Config(
        app, host=HOST, port=port, log_level="warning", access_log=False, date_header=False, server_header=False,
        lifespan="off", timeout_keep_alive=75, timeout_graceful_shutdown=1,
    )  # fmt: skip
    try:
        # uvicorn's own `fd` option takes the socket for a Unix one, which costs TCP_NODELAY
        uvicorn.Server(config).run(sockets=None if fd is None else [socket.socket(fileno=fd)])
    finally:
        app.close()


def exit_with(parent: int) -> None:
    """End this process when its parent is gone: a killed test run must not leave servers behind."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


class Sandbox:
    """Client of a running sandbox."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.port = int(self.url.rpartition(":")[2])
        self._http = requests.Session()
        self._http.trust_env = False  # loopback needs no proxy, whatever the environment says

    def _call(self, method: str, path: str, body: Any = None, timeout: float = 600) -> Any:
        answer = self._http.request(method, f"{self.url}/_sandbox/{path}", json=body, timeout=timeout)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} /_sandbox/{path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def odoo_url(self, database: str, version: int = 17) -> str:
        """The address of one Odoo database."""
        return f"{self.url}/odoo{'19' if version == 19 else ''}/{database}"

    def source_url(self, source: str, tenant: str) -> str:
        """The address of a tenant's stand-in of any other kind."""
        return f"{self.url}/{source}/{tenant}"

    def records(self, source: str, tenant: str, entity: str) -> list[dict[str, Any]]:
        """All records of an object as stored (every stand-in but Odoo's)."""
        return self._call("GET", f"truth/{source}/{tenant}/{entity}")["records"]

    def change(
        self,
        source: str,
        tenant: str,
        entity: str,
        put: list[dict[str, Any]] | None = None,
        delete: list[int | str] | None = None,
    ) -> list[Any]:
        """Create or patch records, and delete some, as the system would (every stand-in but Odoo's); the ids put."""
        body = {"put": put or [], "delete": delete or []}
        return self._call("POST", f"records/{source}/{tenant}/{entity}", body)["ids"]

    def set_limits(self, source: str, tenant: str, **limits: Any) -> None:
        """Change what a stand-in's account may be asked (see its `limits` module)."""
        self._call("POST", f"{source}/{tenant}/limits", limits)

    def identities(self, tenant: str) -> list[dict[str, Any]]:
        """Which records of a tenant's systems are about the same company, person or deal."""
        return self._call("GET", f"truth/identities/{tenant}")["identities"]

    def health(self) -> dict[str, Any]:
        """What time it is in there and what it holds."""
        return self._call("GET", "health")

    def advance(self, to: str = "now", database: str | None = None) -> dict[str, Any]:
        """Let time pass up to a day, a moment or the present; returns the changed ids per source, tenant and model."""
        return self._call("POST", "advance", {"to": to, "database": database})

    def fault(self, kind: str, **options: Any) -> None:
        """Put a fault in force (see `sandbox.faults.Fault`)."""
        self._call("POST", "faults", {"kind": kind, **options})

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force."""
        return self._call("GET", "faults")["faults"]

    def clear_faults(self) -> None:
        """Forget all faults."""
        self._call("DELETE", "faults")

    def truth(self, database: str, model: str, fields: str | None = None) -> list[dict[str, Any]]:
        """All rows of a model as stored."""
        query = f"?fields={fields}" if fields else ""
        return self._call("GET", f"truth/odoo/{database}/{model}{query}")["records"]

    def ids(self, database: str, model: str) -> list[int]:
        """All ids of a model."""
        return self._call("GET", f"truth/odoo/{database}/{model}/ids")["ids"]

    def requests(self) -> list[dict[str, Any]]:
        """What clients asked since the last reset."""
        return self._call("GET", "requests")["requests"]

    def reset_requests(self) -> None:
        """Start counting anew."""
        self._call("DELETE", "requests")

    def rights(
        self, database: str, login: str, model: str, allow: bool | None = None, domain: list[Any] | None = None
    ) -> None:
        """Take away or give back a right, or set a record rule."""
        body = {"database": database, "login": login, "model": model, "allow": allow, "domain": domain}
        self._call("POST", "rights", body)

    def transaction(
        self, database: str, model: str, values: dict[str, Any], hold_seconds: float, id: int | None = None
    ) -> dict[str, Any]:
        """Begin a write now that commits later."""
        body = {"database": database, "model": model, "values": values, "hold_seconds": hold_seconds, "id": id}
        return self._call("POST", "transaction", body)

    def write(self, database: str, model: str, ids: list[int], values: dict[str, Any], sql: bool = False) -> None:
        """Write records as admin, or, `sql`, behind the ORM's back."""
        self._call("POST", f"odoo/{database}/write", {"model": model, "ids": ids, "values": values, "sql": sql})

    def create(self, database: str, model: str, values: dict[str, Any] | list[dict[str, Any]]) -> list[int]:
        """Create records as admin, all in one transaction."""
        return self._call("POST", f"odoo/{database}/create", {"model": model, "values": values})["ids"]

    def unlink(self, database: str, model: str, ids: list[int]) -> None:
        """Delete records as admin."""
        self._call("POST", f"odoo/{database}/unlink", {"model": model, "ids": ids})

    def field(self, database: str, model: str, name: str, action: str, **options: Any) -> None:
        """Add, remove or retype a field."""
        self._call("POST", f"odoo/{database}/field", {"model": model, "name": name, "action": action, **options})


@contextmanager
def running(port: int = 0, wait_s: float = 300.0, **options: Any) -> Iterator[Sandbox]:
    """A sandbox in a process of its own, from when it answers until the block ends.

    `options` are the command line's: seed, scale, start, leads, latency_ms, connection_close, databases ("a,b"), sources
    ("odoo,zendesk"), records, folder, apn_port.
    The socket is opened here and handed down, so the port can't be taken by another process in between.
    """
    listener = socket.create_server((HOST, port), backlog=128)
    arguments = []
    for name, value in options.items():
        if value is True:
            arguments.append(f"--{name.replace('_', '-')}")
        elif value is not None and value is not False:
            arguments.append(f"--{name.replace('_', '-')}={value}")
    root = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    command = [
        sys.executable,
        "-m",
        "sandbox",
        "--fd",
        str(listener.fileno()),
        "--parent",
        str(os.getpid()),
        *arguments,
    ]
    with listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            command,
            pass_fds=[listener.fileno()],
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the starter, who ends it when nobody asks it any more
        )
    try:
        sandbox = Sandbox(url)
        _wait(process, sandbox, wait_s)
        yield sandbox
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", sandbox: Sandbox, wait_s: float) -> None:
    """Until it answers. The listening socket queues the question, so one request waits the whole start."""
    deadline = time.monotonic() + wait_s
    while process.poll() is None and time.monotonic() < deadline:
        try:
            sandbox._call("GET", "health", timeout=2)
            return
        except requests.exceptions.RequestException:
            time.sleep(0.05)
    raise RuntimeError(f"the sandbox did not start (exit status {process.poll()})")
