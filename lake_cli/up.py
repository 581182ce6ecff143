"""`lake up`: everything at once, until Ctrl-C; which stops all it started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from lake_cli.console import err, fail
from lake_cli.demo import live_through, print_summary, sandbox_for
from lake_cli.interrupts import end_on_signals, ignore_signals
from lake_cli.ports import HOST, require_free_port
from lake_cli.sync import UNUSABLE
from lake_config import Settings
from resources.dagster_home import close_abandoned_runs, instance_environment, local_instance
from sandbox.server import Sandbox

STOP_SECONDS = 15
LIVE_SECONDS = 5
"""How often the stand-in sources get to live up to the present, so that the sensor has something to find."""

_WORKSPACE = """# Written by `lake up` at each start.
load_from:
  - python_module:
      module_name: lake_assets.definitions
      location_name: revlake
"""


def run_everything(settings: Settings, port: int, api_port: int = 8000, scale: float = 1.0) -> int:
    """Stand-in sources (where the configuration names them), Postgres, first load, Dagster UI and daemon, HTTP API.

    Parameters:
        port: of the Dagster UI.
        api_port: of the HTTP API.
        scale: of the stand-in sources' data; the lake's first start decides.

    Returns:
        The exit status: 0 after Ctrl-C, 1 if what was started ended by itself.
    """
    end_on_signals()
    require_free_port(port, "the Dagster UI", "End it, or choose another port with --port.")
    require_free_port(api_port, "the HTTP API", "End it, or choose another port with --api-port.")
    with ExitStack() as started:
        try:
            sandbox = started.enter_context(sandbox_for(settings, scale))
            environment = started.enter_context(instance_environment(settings))
            with local_instance() as instance:
                close_abandoned_runs(instance)
                seconds, succeeded = live_through(settings, sandbox, instance)
            print_summary(settings, seconds)
            if not succeeded:
                err.print("The first load has failures (above); the UI shows their runs.", style="red")
            processes = started.enter_context(_serving(environment.home, port, api_port))
            return _watch(processes, environment.home, port, api_port, sandbox)
        except UNUSABLE as error:
            fail(str(error), 1)
        except KeyboardInterrupt:
            return 0
        finally:
            ignore_signals()
            err.print("stopping ...")


@contextmanager
def _serving(home: Path, port: int, api_port: int) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """The Dagster UI and daemon and the HTTP API, each in a session of its own: Ctrl-C reaches only us, and we stop them with all
    they started."""
    workspace = home / "workspace.yaml"
    workspace.write_text(_WORKSPACE, encoding="utf-8")
    commands = {
        "dagster-webserver": ["-h", HOST, "-p", str(port), "-w", str(workspace)],
        "dagster-daemon": ["run", "-w", str(workspace)],
        "lake": ["serve", "--port", str(api_port)],
    }
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in commands.items():
            command = [str(Path(sys.executable).parent / name), *arguments]
            with _log_file(home, name).open("wb") as log:
                processes[name] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home, start_new_session=True
                )
        yield processes
    finally:
        for process in processes.values():
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes.values():
            while _signal(process, 0) and time.monotonic() < deadline:
                process.poll()  # or it would stay as a zombie, and its group with it
                time.sleep(0.05)
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: "subprocess.Popen[bytes]", number: int) -> bool:
    """Send a signal to a process and all that it started; whether any of them is left."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _watch(
    processes: dict[str, "subprocess.Popen[bytes]"], home: Path, port: int, api_port: int, sandbox: Sandbox | None
) -> int:
    """Say when the UI answers; let the stand-ins live; return once anything ended by itself."""
    err.print("starting the Dagster UI and daemon ...")
    answers = False
    lived = time.monotonic()
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                log = _log_file(home, name)
                err.print(
                    f"{name} ended with status {process.returncode}. The end of {log}:", style="red", soft_wrap=True
                )
                err.print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), markup=False, soft_wrap=True)
                return 1
        if not answers and _answers(port):
            answers = True
            err.print(
                f"Dagster UI on http://{HOST}:{port}, HTTP API on http://{HOST}:{api_port} (logs in {home});"
                " Ctrl-C stops everything",
                soft_wrap=True,
            )
        if sandbox is not None and time.monotonic() - lived >= LIVE_SECONDS:
            lived = time.monotonic()
            try:
                sandbox.advance("now")
            except requests.RequestException as error:
                err.print(f"the stand-in sources are gone: {error}", style="red", markup=False, soft_wrap=True)
                return 1
        time.sleep(0.5)


def _answers(port: int) -> bool:
    with requests.Session() as http:
        http.trust_env = False  # loopback needs no proxy, whatever the environment says
        try:
            return http.get(f"http://{HOST}:{port}/server_info", timeout=2).ok
        except requests.RequestException:
            return False


def _log_file(home: Path, program: str) -> Path:
    return home / f"{program}.log"
