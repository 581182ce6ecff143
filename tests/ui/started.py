"""`lake up` as a person starts it: a process of its own in a session of its own, over a folder with a `lake.yaml`.

The folder is not pytest's: as root, Postgres runs as another user, to whom pytest closes its folders.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import requests

from sandbox.server import Sandbox
from tests.lakes import write_config

LAKE = Path(sys.executable).parent / "lake"
DEMO = Path(__file__).parents[2] / "lake.yaml"
PATIENCE_SECONDS = 300


class LakeUp:
    """A running `lake up`."""

    def __init__(self, folder: Path, process: "subprocess.Popen[str]", port: int, sandbox_port: int) -> None:
        self.folder = folder
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.sandbox = Sandbox(f"http://127.0.0.1:{sandbox_port}")
        self._http = requests.Session()
        self._http.trust_env = False

    def said(self) -> str:
        """What it has written so far."""
        return (self.folder / "out.txt").read_text(encoding="utf-8")

    def wait(self, until: Callable[[], Any], what: str) -> Any:
        """What `until` gives once it is true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := until()):
            assert self.process.poll() is None, f"lake up ended while {what} was waited for:\n{self.said()}"
            assert time.monotonic() < deadline, f"no {what} after {PATIENCE_SECONDS} s:\n{self.said()}"
            time.sleep(0.2)
        return found

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """An answer of the UI's GraphQL."""
        answer = self._http.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        ).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """Runs that have these tags (`__` for `/`), newest first; their tags as a mapping."""
        query = """query($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results {
            runId status jobName tags { key value } } } } }"""
        wanted = [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]
        found = self.ask(query, filter={"tags": wanted})["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def lake(self, *arguments: str) -> str:
        """Another `lake` command in the same folder; its stdout."""
        answer = subprocess.run(
            [LAKE, *arguments],
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def processes(self) -> list[psutil.Process]:
        """All that belongs to it: its descendants, and Postgres, which is nobody's child."""
        me = psutil.Process(self.process.pid)
        children = [me, *me.children(recursive=True)]
        return children + [process for process in processes_of(self.folder) if process not in children]

    def stop(self, number: signal.Signals = signal.SIGINT, everybody: bool = True) -> int:
        """Ctrl-C: the terminal sends it to every process of its foreground group. Or one signal to the one process."""
        if everybody:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(60)


def processes_of(folder: Path) -> list[psutil.Process]:
    """Processes that name the folder in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []) and process.pid != os.getpid():
            found.append(process)
    return found


@contextmanager
def lake_up(
    tenants: Mapping[str, Mapping[str, Any]] | None, days: int, scale: float, arguments: list[str] | None = None
) -> Iterator[LakeUp]:
    """Start `lake up` over an empty lake; at the end it is stopped if it runs.

    Parameters:
        tenants: slug -> keys of its Odoo source besides the address; the slug is the sandbox's database. None: the demo's.
        days: how long ago the sandbox's story began.
        scale: of the sandbox's data.
    """
    port, sandbox_port, api_port, apn_port = _free_ports()
    folder = Path(tempfile.mkdtemp(prefix="revlake-up-"))
    try:
        if tenants is None:
            demo = (
                DEMO.read_text(encoding="utf-8").replace(":8899/", f":{sandbox_port}/").replace("8900", str(apn_port))
            )
            (folder / "lake.yaml").write_text(demo, encoding="utf-8")
        else:
            write_config(folder, {slug: {"odoo": _odoo(sandbox_port, slug, keys)} for slug, keys in tenants.items()})
        story = folder / "data-lake" / "_state" / "demo.json"
        story.parent.mkdir(parents=True)
        first_day = datetime.now(UTC).date() - timedelta(days=days)
        story.write_text(json.dumps({"first_day": first_day.isoformat(), "scale": scale}))
        command = [LAKE, "up", "--port", str(port), "--api-port", str(api_port), *(arguments or [])]
        with (folder / "out.txt").open("w") as out:
            process = subprocess.Popen(
                command, cwd=folder, env=_environment(), stdout=out, stderr=out, text=True, start_new_session=True
            )
        started = LakeUp(folder, process, port, sandbox_port)
        try:
            yield started
        finally:
            if process.poll() is None:
                started.stop(signal.SIGTERM, everybody=False)
    finally:
        for left in processes_of(folder):
            with suppress(psutil.NoSuchProcess):
                left.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _odoo(port: int, slug: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/odoo/{slug}"
    return {"url": url, "database": slug, "username": "admin", "password": "${NORTHWIND_ODOO_PASSWORD}", **keys}


def _environment() -> dict[str, str]:
    steering = ("LAKE_", "REVLAKE_", "DAGSTER_", "NORTHWIND_", "NKRETAIL_", "PODIUM_", "SKYFIT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)}


def _free_ports() -> list[int]:
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        return [probe.getsockname()[1] for probe in sockets]
