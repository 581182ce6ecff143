"""What the tests of several folders share: stand-in sources in a process of their own, and lakes that read from them.

Modules are imported where they are needed: most test folders do not need Dagster.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

# How long one example takes says what else the machine does.
hypothesis.settings.register_profile("lake", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("lake")

if TYPE_CHECKING:
    from sandbox.server import Sandbox
    from tests.lakes import SyncedLake


@pytest.fixture(autouse=True)
def _not_over_midnight() -> None:
    """A run without a day is of today, of the UTC day; what a test did yesterday would surprise it."""
    left = 86_400 - time.time() % 86_400
    if left < 60:
        time.sleep(left)


@pytest.fixture
def start_odoo() -> Iterator[Callable[..., "Sandbox"]]:
    """Starts small stand-in sources, a third of a second each, so that every test may break its own. Options as
    `sandbox.server.running`."""
    from sandbox.server import running

    with ExitStack() as stack:
        small = {"scale": 0.05, "leads": 60, "seed": 7, "databases": "northwind", "sources": "odoo"}
        yield lambda **options: stack.enter_context(running(**{**small, **options}))


@pytest.fixture
def odoo(start_odoo: Callable[..., "Sandbox"]) -> "Sandbox":
    """One small Odoo database, `northwind`, at the present time."""
    return start_odoo()


@pytest.fixture
def new_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., "SyncedLake"]]:
    """`new_lake(tenants, lake={...}, folder="a", **tenant_keys)` writes a lake.yaml and gives its lake; `tenants`: slug ->
    source -> block."""
    from tests.lakes import SyncedLake, write_config

    monkeypatch.setenv("LAKE_CONFIG", str(tmp_path / "lake.yaml"))
    made: list[SyncedLake] = []

    def make(
        tenants: Mapping[str, Mapping[str, dict[str, Any]]],
        lake: Mapping[str, Any] | None = None,
        folder: str = "",
        **tenant_keys: Any,
    ) -> SyncedLake:
        made.append(SyncedLake(write_config(tmp_path / folder, tenants, lake, **tenant_keys)))
        return made[-1]

    yield make
    for lake in made:
        lake.close()


@pytest.fixture
def northwind(odoo: "Sandbox", new_lake: Callable[..., "SyncedLake"]) -> "SyncedLake":
    """An empty lake whose only tenant, `northwind`, reads from `odoo`."""
    from tests.lakes import odoo_source

    return new_lake({"northwind": {"odoo": odoo_source(odoo)}})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients give up after two tries that follow each other at once."""
    import resources.http

    quick = functools.partial(resources.http.RetryPolicy, tries=2, first_wait=0.01)
    monkeypatch.setattr(resources.http, "RetryPolicy", quick)
