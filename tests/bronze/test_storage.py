"""Files appear whole or not at all, and what a crash leaves behind goes away by itself."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.storage import LITTER_AGE_SECONDS, ParquetUnit, Storage

ROWS = pa.table({"n": pa.array([1, 2, 3], pa.int64())})


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "lake"))


def _aside(storage: Storage) -> list[Path]:
    folder = Path(storage.root) / "_tmp"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_file_appears_when_its_block_ends(storage: Storage) -> None:
    with storage.publishing("a/b.json") as aside:
        aside.write_text("whole")
        assert not storage.exists("a/b.json")
        assert storage.files("a") == []
    assert storage.read_bytes("a/b.json") == b"whole"
    assert _aside(storage) == []


def test_an_error_leaves_the_old_file(storage: Storage) -> None:
    storage.write_json("a.json", {"n": 1})

    def fail() -> None:
        with storage.publishing("a.json") as aside:
            aside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert storage.read_json("a.json") == {"n": 1}
    assert _aside(storage) == []


def test_a_failed_rename_leaves_the_old_file(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write_json("a.json", {"n": 1})

    def refuse(*args: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            storage.write_json("a.json", {"n": 2})
    assert storage.read_json("a.json") == {"n": 1}
    assert _aside(storage) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_crash_before_the_rename_leaves_nothing_that_readers_see(storage: Storage, step: str) -> None:
    code = f"""
import os, pyarrow as pa
from resources.storage import ParquetUnit, Storage
os.{step} = lambda *args: os._exit(9)
with ParquetUnit(Storage({storage.root!r}), "t/part.parquet", pa.schema([("n", pa.int64())])) as unit:
    unit.write(pa.table({{"n": [1, 2]}}))
    unit.commit()
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 9
    assert storage.files("t") == []
    assert storage.files("") != []  # litter, aside
    assert len(_aside(storage)) == 1


def test_litter_goes_only_when_it_is_a_day_old(storage: Storage) -> None:
    folder = Path(storage.root) / "_tmp"
    (folder / "old-folder").mkdir(parents=True)
    (folder / "old-folder" / "spill").write_text("x")
    for name in ("old", "young"):
        (folder / name).write_text("x")
    long_ago = time.time() - LITTER_AGE_SECONDS - 60
    os.utime(folder / "old", (long_ago, long_ago))
    os.utime(folder / "old-folder", (long_ago, long_ago))
    storage.write_json("kept.json", 1)
    storage.sweep_litter()
    assert [path.name for path in _aside(storage)] == ["young"]
    assert storage.read_json("kept.json") == 1


def test_a_lake_without_litter_is_swept_too(storage: Storage) -> None:
    storage.sweep_litter()
    assert not Path(storage.root).exists()


def test_a_unit_without_rows_leaves_no_file(storage: Storage) -> None:
    with ParquetUnit(storage, "t/part.parquet", ROWS.schema) as unit:
        assert not unit.commit()
    assert storage.files("") == []


def test_a_unit_that_is_not_committed_leaves_no_file(storage: Storage) -> None:
    with ParquetUnit(storage, "t/part.parquet", ROWS.schema) as unit:
        unit.write(ROWS)
    assert storage.files("") == []


def test_a_unit_holds_all_its_row_groups(storage: Storage) -> None:
    with ParquetUnit(storage, "t/part.parquet", ROWS.schema, {"made": "here"}) as unit:
        unit.write(ROWS)
        unit.write(ROWS)
        assert unit.commit()
    file = pq.ParquetFile(storage.url("t/part.parquet"))
    assert (file.num_row_groups, file.metadata.num_rows, unit.rows) == (2, 6, 6)
    assert file.schema_arrow.metadata[b"made"] == b"here"


@pytest.mark.parametrize("torn", [b"", b'{"n": 1', b"\x00\x00\x00", b'{"n": "\xff"}'])
def test_a_torn_note_reads_as_none(storage: Storage, torn: bytes) -> None:
    with storage.publishing("a.json") as aside:
        aside.write_bytes(torn)
    assert storage.read_json("a.json") is None


def test_files_and_folders_of_what_is_not_there_are_none(storage: Storage) -> None:
    assert storage.files("nothing") == []
    assert storage.folders("nothing") == []
    assert storage.read_json("nothing.json") is None
    storage.remove("nothing.json")


def test_files_are_listed_with_their_paths_below_the_root(storage: Storage) -> None:
    for path in ("b/y.parquet", "b/x.parquet", "b/c/z.json"):
        storage.write_json(path, 1)
    assert storage.files("b", ".parquet") == ["b/x.parquet", "b/y.parquet"]
    assert storage.files("b") == ["b/c/z.json", "b/x.parquet", "b/y.parquet"]
    assert storage.folders("b") == ["c"]
    assert storage.relative(storage.url("b/x.parquet")) == "b/x.parquet"


def test_an_object_store_publishes_whole_objects() -> None:
    storage = Storage("memory://lake")
    with ParquetUnit(storage, "t/part.parquet", ROWS.schema) as unit:
        unit.write(ROWS)
        assert storage.files("t") == []
        unit.commit()
    assert storage.files("t", ".parquet") == ["t/part.parquet"]
    assert storage.size("t/part.parquet") > 0
    storage.write_json("_state/x.json", {"n": 1})
    assert storage.read_json("_state/x.json") == {"n": 1}
    assert storage.read_json("_state/y.json") is None
    storage.remove("t/part.parquet")
    assert not storage.exists("t/part.parquet")
