"""A disk that is full: the sync says so, what was there stays whole, and the next one completes it.

The lake lies on a small tmpfs; where mounting is not permitted, a limit on the size of files stands in, which the writer
meets the same way: `write` fails.
"""

import ctypes
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.server import Sandbox
from tests.faults.killing import Runner
from tests.lakes import SyncedLake, assert_lake_is_source, odoo_source

BYTES = 8 << 20
TABLES = ("crm_lead", "crm_stage")


class SmallDisk:
    """A folder whose free space a test decides on, and syncs into it, in a process of their own."""

    def __init__(self, folder: Path, mounted: bool, runner: Runner) -> None:
        self.folder = folder
        self._mounted = mounted
        self._runner = runner
        self._limit: int | None = None

    def fill(self, leave: int) -> None:
        """Leave so many bytes (for each file, where there is no tmpfs)."""
        if not self._mounted:
            self._limit = leave
            return
        free = os.statvfs(self.folder)
        with (self.folder / "ballast").open("wb") as ballast:
            ballast.write(b"x" * (free.f_bavail * free.f_bsize - leave))

    def free(self) -> None:
        """Give the space back."""
        self._limit = None
        (self.folder / "ballast").unlink(missing_ok=True)

    def sync(self, lake: SyncedLake) -> tuple[bool, str]:
        """Whether a sync worked, and what it said on stderr."""
        self._runner.log.unlink(missing_ok=True)
        status = self._runner.run(lake, TABLES, file_limit=self._limit)
        return status == 0, self._runner.log.read_text() if self._runner.log.exists() else ""


@pytest.fixture(params=["tmpfs", "limit"])
def disk(tmp_path: Path, runner: Runner, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    # Only root may mount; without, both variants are the limit.
    mounted = (
        request.param == "tmpfs" and libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={BYTES}".encode()) == 0
    )
    try:
        yield SmallDisk(folder, mounted, runner)
    finally:
        if mounted:
            libc.umount2(bytes(folder), 2)  # lazily: an open file must not keep it


@pytest.fixture
def lake(odoo: Sandbox, new_lake: Callable[..., SyncedLake], disk: SmallDisk) -> SyncedLake:
    made = new_lake({"northwind": {"odoo": odoo_source(odoo)}}, lake={"root": str(disk.folder / "lake")})
    assert disk.sync(made)[0]
    return made


def _noise(seed: int) -> str:
    """Text that does not compress."""
    return random.Random(seed).randbytes(20_000).hex()


FULL = "SELECT count(*) FROM raw.odoo_crm_lead WHERE city = 'Full'"


def _write_much(odoo: Sandbox) -> None:
    for number, record in enumerate(odoo.ids("northwind", "crm.lead")[:40]):
        odoo.write("northwind", "crm.lead", [record], {"name": _noise(number), "city": "Full"})


@pytest.mark.parametrize("leave", [100_000, 0], ids=["nearly full", "full to the last byte"])
def test_a_full_disk_fails_the_sync_and_harms_nothing(
    lake: SyncedLake, odoo: Sandbox, disk: SmallDisk, leave: int
) -> None:
    before = lake.query("SELECT source_id, name, city FROM gold.opportunity ORDER BY 1")
    files = lake.files()
    _write_much(odoo)
    disk.fill(leave)
    worked, told = disk.sync(lake)
    assert not worked
    if leave:
        state = lake.state("crm_lead")
        assert state.status == "failed"
        assert lake.state("crm_stage").status == "unchanged"
        told = state.message
        assert "northwind/odoo/crm_lead: the lake could not be written: " in told
    assert "No space left on device" in told or "File too large" in told
    assert lake.files() == files
    assert lake.query("SELECT source_id, name, city FROM gold.opportunity ORDER BY 1") == before
    disk.free()
    assert disk.sync(lake)[0]
    assert lake.query(FULL) == [(40,)]
    assert_lake_is_source(lake, odoo, "northwind", ["crm_lead"])


def test_a_disk_that_fills_up_after_bronze_is_made_good_by_the_next_sync(
    lake: SyncedLake, odoo: Sandbox, disk: SmallDisk
) -> None:
    before = lake.query("SELECT source_id, name, city FROM gold.opportunity ORDER BY 1")
    _write_much(odoo)
    assert lake.capture("crm_lead")["crm_lead"].rows_written == 40
    disk.fill(50_000)
    worked, told = disk.sync(lake)
    assert not worked
    assert "silver__opportunity" in told
    assert lake.query("SELECT source_id, name, city FROM gold.opportunity ORDER BY 1") == before
    disk.free()
    assert disk.sync(lake)[0]
    assert lake.query(FULL) == [(40,)]
    assert_lake_is_source(lake, odoo, "northwind", ["crm_lead"])
