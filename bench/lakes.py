"""Lakes for cases that need the whole graph: their configuration, and what lies in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from bench.harness import DATABASE, STORY_ENDS, TENANT, run_worker
from sandbox.server import Sandbox

LAYERS = ("bronze", "silver", "gold", "quarantine")


@dataclass(frozen=True)
class BenchLake:
    """One lake in a folder of its own."""

    folder: Path
    tenants: tuple[str, ...]

    @property
    def root(self) -> Path:
        return self.folder / "data"

    def sync(self, day: date, empty: bool = False, watch_memory: bool = False) -> dict[str, Any]:
        """Run the graph for each tenant, or with `empty` the same graph with bodies that do nothing."""
        config = str(self.folder / "lake.yaml")
        arguments = (config, self.tenants, str(day), empty)
        return run_worker("bench.workers.sync", *arguments, watch_memory=watch_memory)

    def files(self) -> dict[str, tuple[int, int]]:
        """Path -> size and time of writing of every file in the four layers."""
        found = {path: path.stat() for layer in LAYERS for path in (self.root / layer).rglob("*.parquet")}
        return {str(path.relative_to(self.root)): (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}

    def file(self, pattern: str) -> Path:
        """The only file whose path below the root matches."""
        [path] = self.root.glob(pattern)
        return path


def bench_lake(folder: Path, sandbox: Sandbox, tenants: Iterable[str] = (TENANT,), **options: Any) -> BenchLake:
    """A lake whose tenants all read the sandbox's one database.

    Parameters:
        options: further settings of the source.
    """
    source = {
        "url": sandbox.odoo_url(DATABASE),
        "database": DATABASE,
        "username": "admin",
        "password": "admin",
        **options,
    }
    lake = {"root": "./data", "start_date": STORY_ENDS.isoformat()}
    config = {"lake": lake, "tenants": {tenant: {"sources": {"odoo": source}} for tenant in tenants}}
    folder.mkdir(exist_ok=True)
    (folder / "lake.yaml").write_text(yaml.safe_dump(config))
    return BenchLake(folder, tuple(config["tenants"]))
