"""Where the configuration comes from, and what is said about calls that cannot work."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.command import CommandLake
from tests.cli.conftest import Said

Call = Callable[..., Said]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sync", "--tenant", "nobody"], "lake.yaml has no tenant 'nobody' (it has: northwind, other)"),
        (["sql", "SELECT 1", "--tenant", "nobody"], "lake.yaml has no tenant 'nobody'"),
        (["sync", "--tenant", "northwind", "--source", "odoo_eu"], "tenant northwind has no source 'odoo_eu' (it has: odoo,"),
        (["sync", "--tenant", "northwind", "--tables", "crm_led"], "no such table: crm_led"),
        (["sync", "--tenant", "northwind", "--from", "2025-12-31"], "lies before lake.start_date 2026-01-01"),
        (["sync", "--tenant", "northwind", "--from", "2999-01-01"], "2999-01-01"),
        (["sync", "--tenant", "northwind", "--from", "2026-02-02", "--to", "2026-02-01"], "--to 2026-02-01 lies before"),
        (["sync", "--tenant", "northwind", "--from", "yesterday"], "does not match the formats '%Y-%m-%d'"),
        (["sync", "--tenant", "northwind", "--confirm-deletes"], "--confirm-deletes belongs to --sweep"),
        (["sync"], "Missing option '--tenant'"),
        (["sql"], "Missing argument 'query'"),
        (["sql", "SELECT 1", "--format", "xml"], "'table', 'json', 'csv'"),
        (["swim"], "No such command 'swim'"),
        (["status", "--config", "/nowhere/lake.yaml"], "/nowhere/lake.yaml: no such file. Name one with --config"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_work_is_refused_in_words(call: Call, arguments: list[str], said: str) -> None:
    result = call(*arguments)
    assert (result.status, result.out) == (2, "")
    assert said in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("place", ["before", "after", "joined"])
def test_config_may_stand_on_either_side_of_the_command(
    call: Call, lake: CommandLake, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("LAKE_CONFIG", "/nowhere/lake.yaml")
    config = str(lake.folder / "lake.yaml")
    arguments = {
        "before": ["--config", config, "sql", "SELECT 1 AS one", "--format", "csv"],
        "after": ["sql", "SELECT 1 AS one", "--format", "csv", "--config", config],
        "joined": ["sql", f"--config={config}", "SELECT 1 AS one", "--format", "csv"],
    }[place]
    assert call(*arguments) == Said(0, "one\n1\n", "")


def test_without_config_it_is_the_file_in_this_folder(
    call: Call, lake: CommandLake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LAKE_CONFIG")
    monkeypatch.chdir(lake.folder)
    assert call("sql", "SELECT 1 AS one", "--format", "csv").status == 0
    monkeypatch.delenv("LAKE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path}/lake.yaml: no such file" in call("status").err


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("start_date", None, "lake.start_date: is required and missing"),
        ("strat_date", "2026-01-01", "lake.strat_date: is not a known key"),
        ("start_date", "soon", "lake.start_date:"),
    ],
)
def test_a_wrong_configuration_is_told_by_the_keys_path(
    call: Call, tmp_path: Path, key: str, value: str | None, said: str
) -> None:
    block = {"start_date": "2026-01-01", key: value}
    config = {"lake": {name: text for name, text in block.items() if text}, "tenants": {}}
    (tmp_path / "lake.yaml").write_text(yaml.safe_dump(config))
    for command in (["status"], ["sql", "SELECT 1"], ["sync", "--tenant", "northwind"]):
        result = call(*command, "--config", str(tmp_path / "lake.yaml"))
        assert (result.status, result.out) == (2, "")
        assert said in result.err
    result = call("doctor", "--json", "--config", str(tmp_path / "lake.yaml"))
    (finding,) = json.loads(result.out)
    assert (result.status, finding["what"], finding["ok"]) == (1, "configuration", False)
    assert said in finding["detail"]


def test_a_wrong_configuration_is_told_by_a_process_of_its_own_too(lake: CommandLake, tmp_path: Path) -> None:
    """Not only once the graph is imported, which reads the configuration."""
    (tmp_path / "lake.yaml").write_text("lake: {start_date: 2026-01-01, colour: red}\ntenants: {acme: {}}\n")
    result = lake.run("sync", "--tenant", "acme", "--config", str(tmp_path / "lake.yaml"))
    assert (result.returncode, result.stdout) == (2, "")
    assert "lake.colour: is not a known key" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("key", ["root", "postgres", "webhook_url"])
def test_a_missing_variable_is_named_when_it_is_needed(call: Call, lake: CommandLake, key: str) -> None:
    file = lake.folder / f"without_{key}.yaml"
    config = {"lake": {"start_date": "2026-01-01", key: "${NO_SUCH_PLACE}"}, "tenants": {"acme": {"sources": {}}}}
    file.write_text(yaml.safe_dump(config))
    result = call("doctor", "--json", "--config", str(file))
    assert result.status == 1
    (finding,) = [finding for finding in json.loads(result.out) if not finding["ok"]]
    assert "NO_SUCH_PLACE is not set" in finding["detail"]
    assert finding["what"] == {"root": "lake", "postgres": "postgres", "webhook_url": "webhook"}[key]
    if key == "root":
        for command in (["status"], ["sql", "SELECT 1"], ["sync", "--tenant", "acme"]):
            result = call(*command, "--config", str(file))
            assert (result.status, result.out) == (1, "")
            assert "lake.root: environment variable NO_SUCH_PLACE is not set" in result.err
            assert "Traceback" not in result.err


def test_a_tenant_that_left_is_not_synced(call: Call, tmp_path: Path) -> None:
    config = {"lake": {"start_date": "2026-01-01"}, "tenants": {"gone": {"retired": True, "sources": {}}}}
    (tmp_path / "lake.yaml").write_text(yaml.safe_dump(config))
    result = call("sync", "--tenant", "gone", "--config", str(tmp_path / "lake.yaml"))
    assert (result.status, result.out) == (2, "")
    assert "tenant gone is retired" in result.err
    assert not (tmp_path / "data-lake").exists()


def test_help_names_every_command(call: Call) -> None:
    result = call("--help")
    assert result.status == 0
    for command in ("sync", "sql", "status", "doctor", "sandbox", "up", "demo"):
        assert f"\n  {command} " in result.out
