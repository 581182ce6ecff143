"""One holder at a time among threads and processes, and none after a crash."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resources.locks import LockHeld, file_lock

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def _another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is told to end."""
    code = f"""
from pathlib import Path
from resources.locks import file_lock
with file_lock(Path({str(path)!r}), "sync of northwind/odoo in run 42"):
    print("held", flush=True)
    input()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def test_the_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    with _another_process(path) as holder:
        with pytest.raises(LockHeld) as caught, file_lock(path, "a second sync"):
            pass
        assert str(caught.value).startswith("a second sync: already being done by")
        assert f"process {holder.pid}, sync of northwind/odoo in run 42" in str(caught.value)


def test_the_second_holder_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with _another_process(path) as holder:
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        with file_lock(path, "a second sync", wait_seconds=30):
            assert f"process {os.getpid()}, a second sync" in path.read_text()


def test_a_kill_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with _another_process(path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with file_lock(path, "after the crash"):
            pass


def test_threads_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        with file_lock(path, "a thread's work", wait_seconds=30):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_thread_that_does_not_wait_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    refused: list[str] = []

    def second() -> None:
        try:
            with file_lock(path, "second"):
                pass
        except LockHeld as error:
            refused.append(str(error))

    with file_lock(path, "first"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert refused == [f"second: already being done by process {os.getpid()}, first. Wait for it to end, or end it."]


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with pytest.raises(RuntimeError), file_lock(path, "first"):
        raise RuntimeError
    with file_lock(path, "second"):
        pass


def test_different_names_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with file_lock(tmp_path / "a.lock", "a"), file_lock(tmp_path / "b.lock", "b"):
        pass
