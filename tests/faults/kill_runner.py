"""Runs syncs that are meant to be killed: a process that has everything imported and forks one child a sync.

It reads one JSON object a line (`config`, `tenant`, `day`, `tables`, `options`, `crash_after`, `file_limit`), answers with
the child's process id, and when the child has ended with its exit status: 0 or 1 as `lake sync`, 77 for a crash at a commit
point, -9 for a kill from outside.

`crash_after: n` ends the child, as a crash would, right after the n-th time that a file of the lake was put into its place or
removed. Between two of these moments nothing changes that a later process could see, except for litter aside. `file_limit`
bounds the bytes of every file that it writes.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import email_validator  # noqa: F401  both are imported late by silver
import phonenumbers  # noqa: F401
from dagster import DagsterInstance

from lake_cli.sync import run_day
from lake_config import load_settings
from resources.storage import Storage

CRASHED = 77


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_everything()
    for line in sys.stdin:
        task = json.loads(line)
        copier, told = _copier(task["log"])
        child = os.fork()
        if child == 0:
            os.dup2(told, 2)
            _run(task)
        os.close(told)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        os.waitpid(copier, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _import_everything() -> None:
    """A run over nothing, so that what is imported on the way is there before the first child is."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lake.yaml"
        file.write_text("lake: {start_date: 2026-01-01}\ntenants: {nobody: {}}\n", encoding="utf-8")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with DagsterInstance.ephemeral() as instance:
            run_day(load_settings(file), instance, "nobody", datetime.now(UTC).date(), ["crm_lead"])


def _run(task: dict[str, Any]) -> None:
    status = 1
    try:
        if task["file_limit"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (task["file_limit"], task["file_limit"]))
        if task["crash_after"]:
            _crash_after(task["crash_after"])
        settings = load_settings(Path(task["config"]))
        instance = DagsterInstance.ephemeral()
        done = run_day(
            settings, instance, task["tenant"], date.fromisoformat(task["day"]), task["tables"], task["options"]
        )
        status = 0 if done else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _copier(file: str) -> tuple[int, int]:
    """A process that no limit of a sync's binds and that writes to `file`: its id, and the descriptor that it reads the other end
    of, until that is closed everywhere."""
    reading, writing = os.pipe()
    copier = os.fork()
    if copier == 0:
        os.close(writing)
        with open(file, "ab", buffering=0) as log:
            while chunk := os.read(reading, 1 << 16):
                log.write(chunk)
        os._exit(0)
    os.close(reading)
    return copier, writing


def _crash_after(count: int) -> None:
    left = count
    replace, remove = os.replace, Storage.remove

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(CRASHED)

    def replaced(*args: Any, **kwargs: Any) -> None:
        replace(*args, **kwargs)
        step()

    def removed(self: Storage, path: str) -> None:
        there = self.exists(path)
        remove(self, path)
        if there:
            step()

    os.replace = replaced
    Storage.remove = removed


if __name__ == "__main__":
    main()
