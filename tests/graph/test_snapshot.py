"""The whole asset graph as text, held against `graph.txt`.

The text is what a reviewer reads to see what a change does to the graph. After a change that is meant, write it anew:

    UPDATE_GRAPH=1 .venv/bin/python -m pytest tests/graph/test_snapshot.py
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import Definitions, MultiPartitionsDefinition, PartitionsDefinition

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("graph.txt")


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    """The graph of the repository's own `lake.yaml`."""
    from lake_assets.definitions import build_defs

    return build_defs(ROOT / "lake.yaml")


def test_the_graph_is_as_it_was_agreed(definitions: Definitions) -> None:
    now = "\n".join(_described(definitions)) + "\n"
    if os.environ.get("UPDATE_GRAPH"):
        SNAPSHOT.write_text(now, encoding="utf-8")
    assert now == SNAPSHOT.read_text(encoding="utf-8"), (
        "the asset graph changed; if that is meant: UPDATE_GRAPH=1 .venv/bin/python -m pytest tests/graph/test_snapshot.py"
    )


def test_every_asset_says_what_it_is(definitions: Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        name = "/".join(spec.key.path)
        assert spec.description, name
        assert spec.owners, name
        assert spec.group_name, name
        assert "layer" in spec.tags, name
        if spec.key.path[0] != "operations":
            assert spec.kinds, name
            assert "dagster/column_schema" in spec.metadata, name


def test_the_graph_loads_without_network_and_without_secrets(tmp_path: Path) -> None:
    """In a process of its own, where every attempt to connect is an error and the passwords' variables are not set."""
    config = tmp_path / "lake.yaml"
    config.write_text((ROOT / "lake.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    code = """
import socket
def refuse(*args):
    raise AssertionError(f"a connection to {args[1:]}")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse
from dagster import Definitions
from lake_assets.definitions import defs
Definitions.validate_loadable(defs)
print(len(list(defs.resolve_all_asset_specs())), "assets")
"""
    keep = {"PATH", "HOME", "PYTHONPATH", "LANG", "TMPDIR"}
    env = {name: value for name, value in os.environ.items() if name in keep} | {"LAKE_CONFIG": str(config)}
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    assert "assets" in answer.stdout
    assert not (tmp_path / "data-lake").exists(), "loading definitions must not make the lake"


def _described(definitions: Definitions) -> Iterator[str]:
    graph = definitions.resolve_asset_graph()
    yield "# Written by tests/graph/test_snapshot.py, which says how to write it anew."
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: tuple(key.path)):
        node = graph.get(key)
        yield ""
        yield f"{key.to_user_string()}  [{node.group_name}]  {_partitions(node.partitions_def)}"
        for parent in sorted(node.parent_keys, key=lambda key: tuple(key.path)):
            yield f"  < {parent.to_user_string()}"
        for check in sorted(node.check_keys, key=lambda key: key.name):
            blocking = definitions.resolve_asset_graph().get_check_spec(check).blocking
            yield f"  ? {check.name}{' (blocking)' if blocking else ''}"
    repository = definitions.get_repository_def()
    yield ""
    for job in sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")):
        yield f"job {job}"
    for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name):
        when = f"{schedule.cron_schedule}  {schedule.execution_timezone}"
        yield f"schedule {schedule.name}  {when}  {schedule.default_status.value}"
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        yield f"sensor {sensor.name}  every {sensor.minimum_interval_seconds} s  {sensor.default_status.value}"


def _partitions(partitions: PartitionsDefinition[str] | None) -> str:
    if isinstance(partitions, MultiPartitionsDefinition):
        return " x ".join(dimension.name for dimension in partitions.partitions_defs)
    return type(partitions).__name__ if partitions else "unpartitioned"
