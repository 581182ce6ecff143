"""A small lake that was synced by the command, and ways to call the command."""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lake_cli.main import main
from sandbox.server import Sandbox, running
from tests.cli.command import CommandLake, command_lake
from tests.lakes import odoo_source

SECRET = "admin-api-key"


@dataclass
class Said:
    """What a call of the command did."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with running(scale=0.05, leads=60, seed=7, databases="northwind", sources="odoo") as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def lake(sandbox: Sandbox) -> Iterator[CommandLake]:
    """`northwind` has one source that works, its password in `.env`, and others that do not; `other` was never synced."""
    few = ["crm_lead", "crm_stage", "res_partner"]
    sources = {
        "odoo": odoo_source(sandbox, password="${NORTHWIND_SECRET}", tables=[*few, "res.lang"]),
        "odoo_password": odoo_source(sandbox, password="wrong", tables=few),
        "odoo_database": odoo_source(sandbox, url=sandbox.url, database="nothing", tables=few),
        "odoo_down": odoo_source(sandbox, url="http://127.0.0.1:9", tables=few),
        "odoo_variable": odoo_source(sandbox, password="${NO_SUCH_SECRET}", tables=few),
        "odoo_model": odoo_source(sandbox, tables=["crm_stage", "x.no.such.model"]),
        "odoo_rights": odoo_source(sandbox, login="lowpriv", tables=["crm_lead", "res_partner"]),
    }
    with command_lake({"northwind": sources, "other": {"odoo": odoo_source(sandbox)}}) as lake:
        (lake.folder / ".env").write_text(f"NORTHWIND_SECRET={SECRET}\n")
        yield lake


@pytest.fixture(scope="session")
def after(lake: CommandLake) -> Said:
    """What a sync of `northwind` said that was called from another folder."""
    config = str(lake.folder / "lake.yaml")
    result = lake.run("sync", "--config", config, "--tenant", "northwind", cwd=lake.folder.parent)
    return Said(result.returncode, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def synced(lake: CommandLake, after: Said) -> CommandLake:
    """The lake after that sync."""
    return lake


@pytest.fixture
def call(lake: CommandLake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Calls the command in this process, which takes a tenth of the time of one of its own."""
    for name in list(os.environ):
        if name.startswith(("LAKE_", "REVLAKE_", "DAGSTER_")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("NORTHWIND_SECRET", raising=False)
    monkeypatch.setenv("LAKE_CONFIG", str(lake.folder / "lake.yaml"))

    def call(*arguments: str) -> Said:
        monkeypatch.setattr("sys.argv", ["lake", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        monkeypatch.delenv("NORTHWIND_SECRET", raising=False)
        return Said(ended.value.code if isinstance(ended.value.code, int) else 0, said.out, said.err)

    return call


def unused_port_number() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
