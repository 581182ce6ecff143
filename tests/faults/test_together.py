"""Two at once: syncs of one tenant, of two tenants, and a reader of a file that is being replaced."""

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lake_assets.bronze.sync import sync_source
from resources.lake import Lake
from sandbox.server import Sandbox
from tests.lakes import SyncedLake, assert_lake_is_source, odoo_source


def test_two_syncs_of_one_tenant_take_turns(northwind: SyncedLake, odoo: Sandbox) -> None:
    odoo.fault("slow", model="crm.lead", method="search_read", seconds=0.5, times=1)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: northwind.capture("crm_lead", "crm_stage"), range(2))
    written = sorted([first["crm_lead"].rows_written, second["crm_lead"].rows_written])
    assert written == [0, len(odoo.ids("northwind", "crm.lead"))]
    assert len(northwind.bronze("crm_lead")) == written[1]
    assert northwind.sync("crm_lead", "crm_stage")
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


def test_two_runs_of_one_tenant_at_once_make_one_lake(
    northwind: SyncedLake, odoo: Sandbox, new_lake: Callable[..., SyncedLake]
) -> None:
    northwind.sync("crm_stage")
    odoo.fault("slow", model="crm.lead", method="search_read", seconds=0.5, times=1)
    other = SyncedLake(northwind.config)
    # An instance of its own, made here: SQLite wants its connections closed by the thread that opened them.
    assert other.instance is not northwind.instance
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda lake: lake.sync("crm_lead"), [northwind, other]))
    assert results == [True, True]
    assert len(northwind.bronze("crm_lead")) == len(odoo.ids("northwind", "crm.lead"))
    assert northwind.query("SELECT count(*) - count(DISTINCT serving_id) FROM gold.opportunity") == [(0,)]
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


def test_a_sync_that_waited_in_vain_says_who_holds_the_source(
    northwind: SyncedLake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lake_assets.bronze.assets.sync_source", functools.partial(sync_source, wait_seconds=0.1))
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with northwind.lake.lock("sync-northwind-odoo", "sync of northwind/odoo in run 42"):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        assert not northwind.sync("crm_lead")
    finally:
        done.set()
        holder.join()
    told = capfd.readouterr().err
    assert "already being done by process" in told
    assert "sync of northwind/odoo in run 42" in told
    assert northwind.sync("crm_lead")


def test_another_tenant_does_not_wait(odoo: Sandbox, new_lake: Callable[..., SyncedLake]) -> None:
    lake = new_lake({slug: {"odoo": odoo_source(odoo)} for slug in ("anna", "bert")})
    with lake.lake.lock("sync-anna-odoo", "a long sync"):
        assert lake.capture("crm_stage", tenant="bert")["crm_stage"].status == "ok"


@pytest.mark.parametrize("pattern", ["part.parquet", "*.parquet"])
def test_a_reader_of_a_file_that_is_replaced_sees_the_old_or_the_new(tmp_path: Path, pattern: str) -> None:
    """DuckDB opens a file more than once a query, so that a query may break; it is never answered from two files."""
    lake = Lake(str(tmp_path))
    stop = threading.Event()
    sizes = [1_000, 50_000, 20]

    def write() -> None:
        with lake.connection() as connection:
            for turn in range(10_000):
                if stop.is_set():
                    return
                rows = sizes[turn % 3]
                with lake.storage.publishing("t/part.parquet", flush=False) as aside:
                    select = f"SELECT {rows} AS total, range AS n, 'x' || range AS text FROM range({rows})"
                    connection.execute(f"COPY ({select}) TO '{aside}' (FORMAT parquet)")
                time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not lake.storage.exists("t/part.parquet"):
            pass
        scan = f"read_parquet('{tmp_path}/t/{pattern}', union_by_name = true, filename = true)"
        query = f"SELECT count(*), max(total), count(DISTINCT text) FROM {scan} WHERE n >= 0"
        for _ in range(100):
            count, total, distinct = lake.read(lambda connection: connection.execute(query).fetchall()[0])
            assert count == total == distinct
    finally:
        stop.set()
        writer.join()
