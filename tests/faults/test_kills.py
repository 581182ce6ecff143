"""A sync that is killed at any moment, and run again, leaves the lake that an undisturbed sync would have made."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lake_assets.catalog import define_views
from resources.lake import Lake
from resources.scope import Scope
from sandbox.server import Sandbox
from tests.faults.kill_runner import CRASHED
from tests.faults.killing import Runner, contents, copied, difference
from tests.lakes import SyncedLake, odoo_source, today

SALES = ("crm_lead", "crm_stage")
TILLS = ("pos_order", "pos_order_line", "product_template")
MORE = {SALES: ["quarantine"], TILLS: []}


@dataclass
class Scene:
    """A lake before a change at its source (`base`), and what the one holds that an undisturbed sync made of it."""

    base: SyncedLake
    undisturbed: dict[str, pa.Table]
    tables: tuple[str, ...]
    folder: Path
    day: date
    """Of every sync, whatever midnight passes meanwhile."""
    seconds: float = 0.0
    copies: int = 0

    def copy(self) -> SyncedLake:
        self.copies += 1
        return copied(self.base, self.folder / f"copy-{self.copies}")


def _scene(
    runner: Runner,
    new_lake: Callable[..., SyncedLake],
    tmp_path: Path,
    source: dict[str, Any],
    tables: tuple[str, ...],
    change: Callable[[], None],
) -> Scene:
    base, day = new_lake({"northwind": {"odoo": source}}, folder="base", timezone="Europe/Berlin"), today()
    assert runner.run(base, tables, day=day) == 0, runner.log.read_text()
    change()
    synced = copied(base, tmp_path / "undisturbed")
    began = time.monotonic()
    assert runner.run(synced, tables, day=day, sweep=True) == 0, runner.log.read_text()
    seconds = time.monotonic() - began
    undisturbed = contents(synced, tables)
    changed = difference(contents(base, tables), undisturbed)
    assert {relation.split(".")[0] for relation in changed.only_second} == {
        "bronze",
        "raw",
        "silver",
        "gold",
        *MORE[tables],
    }
    return Scene(base, undisturbed, tables, tmp_path, day, seconds)


@pytest.fixture
def sales(runner: Runner, odoo: Sandbox, new_lake: Callable[..., SyncedLake], tmp_path: Path) -> Scene:
    """Deals: changed, new, deleted, a bad one for the quarantine, one that leaves it, and a renamed stage."""

    def change() -> None:
        ids = odoo.ids("northwind", "crm.lead")
        odoo.write("northwind", "crm.lead", ids[:12], {"expected_revenue": 999.5})
        odoo.create("northwind", "crm.lead", [{"name": f"new {number}", "type": "opportunity"} for number in range(5)])
        odoo.unlink("northwind", "crm.lead", ids[20:23])
        [bad] = odoo.create("northwind", "crm.lead", [{"name": "x", "type": "opportunity"}])
        odoo.write("northwind", "crm.lead", [bad, ids[15]], {"name": None}, sql=True)
        odoo.write("northwind", "crm.lead", [ids[15]], {"city": "Oslo"})
        odoo.write("northwind", "crm.stage", [1], {"name": "Fresh"})

    return _scene(runner, new_lake, tmp_path, odoo_source(odoo, page_size=25), SALES, change)


@pytest.fixture
def tills(
    runner: Runner, start_odoo: Callable[..., Sandbox], new_lake: Callable[..., SyncedLake], tmp_path: Path
) -> Scene:
    """Till orders: lines corrected, an order moved to another day, one deleted, a product renamed."""
    odoo = start_odoo(databases="nkretail", scale=0.01)

    def change() -> None:
        orders, lines = odoo.ids("nkretail", "pos.order"), odoo.ids("nkretail", "pos.order.line")
        odoo.write("nkretail", "pos.order.line", [lines[0], lines[40]], {"price_subtotal": 5.5})
        odoo.write("nkretail", "pos.order", [orders[3]], {"date_order": "2026-02-03 11:00:00"})
        odoo.unlink("nkretail", "pos.order", [orders[5]])
        odoo.write("nkretail", "product.template", odoo.ids("nkretail", "product.template")[:2], {"name": "Renamed"})

    return _scene(runner, new_lake, tmp_path, odoo_source(odoo, "nkretail"), TILLS, change)


def _recovers(runner: Runner, scene: Scene, lake: SyncedLake) -> None:
    """The next sync makes the killed one's lake equal to the undisturbed one."""
    assert runner.run(lake, scene.tables, day=scene.day, sweep=True) == 0, runner.log.read_text()[-3000:]
    assert not difference(scene.undisturbed, contents(lake, scene.tables))
    for table in scene.tables:
        assert lake.state(table).rows == lake.query(f"SELECT count(*) FROM raw.odoo_{table}")[0][0]


def _crash_at_steps(runner: Runner, scene: Scene, first: int, every: int) -> int:
    """Crash after step `first`, then `every` so many further on, each followed by a sync that is not disturbed.

    Returns:
        How many steps a sync has, at least.
    """
    step = first
    while True:
        lake = scene.copy()
        status = runner.run(lake, scene.tables, day=scene.day, crash_after=step, sweep=True)
        if status != CRASHED:
            assert status == 0
            return step - every
        _recovers(runner, scene, lake)
        step += every


def test_a_crash_after_any_step_is_made_good_by_the_next_sync(runner: Runner, sales: Scene) -> None:
    """Every moment at which the lake on disk is another than before, one after the other."""
    assert _crash_at_steps(runner, sales, first=1, every=1) >= 12


def test_a_crash_after_some_steps_of_a_sync_of_tills_is_made_good_too(runner: Runner, tills: Scene) -> None:
    """Every fourth step, of which the test below takes all; another one to begin with each time."""
    first = random.randint(1, 4)
    print(f"from step {first}")  # shown if it fails
    assert _crash_at_steps(runner, tills, first, every=4) >= 12


@pytest.mark.torture
def test_a_crash_after_any_step_of_a_sync_of_tills_is_made_good_too(runner: Runner, tills: Scene) -> None:
    assert _crash_at_steps(runner, tills, first=1, every=1) >= 12


@dataclass
class Reader:
    """Somebody who queries all the while, as `lake sql` does. Every unit that is seen must be seen whole: a file has the same
    number of rows each time."""

    lake: SyncedLake
    tables: tuple[str, ...]
    stop: threading.Event = field(default_factory=threading.Event)
    errors: list[str] = field(default_factory=list)
    seen: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    rounds: int = 0
    _thread: threading.Thread | None = None

    def statements(self) -> dict[str, str]:
        entity = {"crm_lead": "opportunity", "pos_order": "pos_order"}[self.tables[0]]
        mart = {"crm_lead": "opportunity", "pos_order": "fact_sales"}[self.tables[0]]
        counted = {
            f"bronze {table}": f"SELECT bronze_file, count(*) FROM bronze.odoo_{table} GROUP BY 1"
            for table in self.tables
        }
        # A version is in silver or in quarantine; both files of a unit are replaced one by one, so each is counted alone.
        counted["silver"] = f"SELECT bronze_file, count(*) FROM silver.{entity}_changes GROUP BY 1"
        counted["gold"] = f"SELECT run_id || ' ' || made_at, count(*) FROM gold.{mart} GROUP BY 1"
        return counted

    def look(self, by_pattern: bool) -> None:
        settings, lake = self.lake.settings, Lake(self.lake.settings.root)
        statements = self.statements()

        def ask(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], int]:
            scope = Scope(lake, tuple(settings.tenants), by_pattern=by_pattern)
            define_views(connection, settings, scope, " ".join(statements.values()))
            return {
                (name, unit): count
                for name, statement in statements.items()
                for unit, count in connection.execute(statement).fetchall()
            }

        for unit, count in lake.read(ask).items():
            self.seen.setdefault(unit, set()).add(count)

    def __enter__(self) -> "Reader":
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        assert self._thread is not None
        self._thread.join()

    def _loop(self) -> None:
        while not self.stop.is_set():
            try:
                self.look(by_pattern=self.rounds % 2 == 1)
            except (duckdb.Error, OSError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")
            self.rounds += 1
            self.stop.wait(0.05)  # leaves the sync some of the processor

    def check(self) -> None:
        assert self.errors == []
        assert self.rounds > 1
        assert {unit: counts for unit, counts in self.seen.items() if len(counts) > 1} == {}


def _kill_at_random(runner: Runner, scene: Scene, random_: random.Random) -> bool:
    """One sync, killed somewhere in the time it takes, under the eyes of a reader; then one that is not.

    Returns:
        Whether the kill came before the sync was done.
    """
    lake = scene.copy()
    with Reader(lake, scene.tables) as reader:
        process = runner.start(lake, scene.tables, day=scene.day, sweep=True)
        time.sleep(random_.uniform(0.05, 1.1) * scene.seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        killed = runner.wait() == -signal.SIGKILL
        _recovers(runner, scene, lake)
    reader.check()
    return killed


@pytest.mark.parametrize("which", ["sales", "tills"])
def test_a_kill_at_a_random_moment_is_made_good_by_the_next_sync(
    runner: Runner, which: str, request: pytest.FixtureRequest
) -> None:
    scene: Scene = request.getfixturevalue(which)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # shown if it fails
    random_ = random.Random(seed)
    rounds = kills = 0
    while rounds < 5 or (kills < 2 and rounds < 30):  # a machine that got faster is done before the kill
        rounds += 1
        kills += _kill_at_random(runner, scene, random_)
    assert kills >= 2


@pytest.mark.torture
@pytest.mark.parametrize("which", ["sales", "tills"])
def test_a_hundred_kills_are_made_good(runner: Runner, which: str, request: pytest.FixtureRequest) -> None:
    scene: Scene = request.getfixturevalue(which)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    random_ = random.Random(seed)
    kills = 0
    while kills < 100:
        kills += _kill_at_random(runner, scene, random_)
