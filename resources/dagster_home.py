"""The Dagster instance of a lake: its folder, its settings, its environment, and what a crash leaves in it.

What does not belong here: the definitions, and which storage Dagster uses (`resources/dagster_storage.py`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

from lake_config import Settings
from resources.postgres import URL_VARIABLE, connect, postgres

_TEMPLATE = Path(__file__).resolve().parent.parent / "dagster_home" / "dagster.yaml"


@dataclass(frozen=True)
class InstanceEnvironment:
    """Where the instance is; the same stands in `os.environ` for Dagster and for the processes we start."""

    home: Path
    postgres_url: str


@contextmanager
def instance_environment(settings: Settings) -> Iterator[InstanceEnvironment]:
    """For as long as the block lasts: Postgres runs, and DAGSTER_HOME, LAKE_CONFIG and the storage's URL are in `os.environ`.

    The home is `$DAGSTER_HOME`, else `dagster_home` beside the configuration file; it is made and given its `dagster.yaml`.

    Raises:
        MissingVariableError, ConnectionFailed, PostgresError: Postgres cannot be had; the message says why.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.path.parent / "dagster_home").expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    _ensure_instance_settings(home / "dagster.yaml")
    with postgres(settings, home) as url:
        connect(url).close()
        with _environment({"DAGSTER_HOME": str(home), "LAKE_CONFIG": str(settings.path), URL_VARIABLE: url}):
            yield InstanceEnvironment(home, url)


@contextmanager
def local_instance() -> Iterator[DagsterInstance]:
    """The instance, for runs in this process, inside `instance_environment`.

    What their steps print is not captured: for that Dagster leads stderr, and with it the progress bar, through files and four
    helper processes, which say tracebacks at Ctrl-C. Runs that the daemon launches are captured.
    """
    overrides = {"compute_logs": {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}}
    with DagsterInstance.from_ref(InstanceRef.from_dir(os.environ["DAGSTER_HOME"], overrides=overrides)) as instance:
        yield instance


def close_abandoned_runs(instance: DagsterInstance) -> list[str]:
    """Mark as failed each run whose process is gone, so that it no longer holds its tenant's turn; returns the runs' ids.

    Dagster notices the death of a run only while the code server that launched it lives; a run in the killed process of
    `lake sync`, or one under way when the machine went down, would count as started for ever. Process ids mean something on
    one machine only: call it where all runs of the instance are on this one.
    """
    under_way = RunsFilter(statuses=[DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])
    closed = []
    for run in instance.get_runs(under_way):
        if _its_process_is_gone(instance, run.run_id):
            if run.status == DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, "Its process ended before it was told to.")
            else:
                instance.report_run_failed(
                    run, "Its process ended without a word: it was killed, or the machine went down."
                )
            closed.append(run.run_id)
    return closed


def _its_process_is_gone(instance: DagsterInstance, run_id: str) -> bool:
    """False also where the run's process is not known yet: Dagster's own start timeout looks after those."""
    for entry in reversed(instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT)):
        metadata = entry.dagster_event.engine_event_data.metadata if entry.dagster_event else {}
        if "pid" in metadata:
            try:
                # A later process may have got the same id.
                return psutil.Process(int(str(metadata["pid"].value))).create_time() > entry.timestamp + 1
            except psutil.NoSuchProcess:
                return True
    return False


def _ensure_instance_settings(file: Path) -> None:
    """Copy our settings to where there are none, and renew such a copy; what somebody made their own stays."""
    template = _TEMPLATE.read_text(encoding="utf-8")
    marker = template.split("\n", 1)[0]
    if file.exists():
        present = file.read_text(encoding="utf-8")
        if present == template or not present.startswith(marker):
            return
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    aside.write_text(template, encoding="utf-8")
    aside.replace(file)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
