"""`lake up`: it starts everything, what it started works together, and it leaves nothing behind. Without a browser."""

import signal
import socket
from collections.abc import Iterator

import psutil
import pytest
import requests

from lake_config import source_types
from tests.ui.started import LakeUp, lake_up, processes_of

ONE_TABLE = {"northwind": {"tables": ["crm_lead", "crm_stage", "crm_team", "res_users"]}}


@pytest.fixture
def starting() -> Iterator[LakeUp]:
    """Of a small lake whose story began yesterday."""
    with lake_up(ONE_TABLE, days=1, scale=0.05) as started:
        yield started


def _survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_it_starts_everything_and_ctrl_c_stops_everything(starting: LakeUp) -> None:
    starting.wait(lambda: "Dagster UI on" in starting.said(), "Dagster UI")

    state = starting.ask("""{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name }
        schedules { name scheduleState { status } } sensors { name sensorState { status } } } } } }""")
    (repository,) = state["repositoriesOrError"]["nodes"]
    assert repository["location"]["name"] == "revlake"
    on = {item["name"]: item["scheduleState"]["status"] for item in repository["schedules"]}
    on |= {item["name"]: item["sensorState"]["status"] for item in repository["sensors"]}
    names = ["daily_sync", "weekly_sweep", "webhook_changes", "retry_failed_sources"]
    assert on == dict.fromkeys([*names, *(f"{kind}_changes" for kind in source_types())], "RUNNING")

    first_load = starting.runs(revlake__tenant="northwind")
    assert [run["status"] for run in first_load] == ["SUCCESS", "SUCCESS"], "the first load shows in the UI"
    assert all(run["tags"]["dagster/max_retries"] == "0" for run in first_load), "its daemon cannot repeat these"

    starting.lake("sync", "--tenant", "northwind")
    assert len(starting.runs(revlake__tenant="northwind")) == 3, "so does a sync from another terminal"

    everything = starting.processes()
    commands = " ".join(" ".join(process.cmdline()) for process in everything)
    for part in ("sandbox", "postgres", "dagster-webserver", "dagster-daemon"):
        assert part in commands
    assert starting.stop(signal.SIGINT) == 0
    assert _survivors(everything) == []
    assert processes_of(starting.folder) == []
    assert "Traceback" not in starting.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_first_load_stops_everything(number: signal.Signals) -> None:
    with lake_up({"northwind": {}}, days=7, scale=0.05) as starting:
        starting.wait(lambda: "synced" in starting.said(), "first day")
        everything = starting.processes()
        assert starting.stop(number, everybody=number == signal.SIGINT) == 0
        assert _survivors(everything) == []
        assert processes_of(starting.folder) == []
        assert "Dagster UI on" not in starting.said()
        assert "Traceback" not in starting.said()
        assert "crm_lead" in starting.lake("status", "--json")


def test_a_port_in_use_is_said_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with lake_up(ONE_TABLE, days=1, scale=0.05, arguments=["--port", str(port)]) as starting:
            assert starting.process.wait(60) == 1
            assert f"port {port}, wanted for the Dagster UI, cannot be had" in starting.said()
            assert "--port" in starting.said()
            assert not (starting.folder / "data-lake" / "bronze").exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{starting.sandbox.url}/_sandbox/health", timeout=2)
