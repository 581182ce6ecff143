"""Processes that are measured: started one after the other, in turns, each with its peak of memory.

What belongs here: how a measurement is taken. What does not: what is measured.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from sandbox.server import Sandbox, running

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_SECONDS = 0.05
TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
STORY_ENDS = TODAY - timedelta(days=10)
"""Where the sandbox's clock starts: nothing changes after it unless a case says so."""
TENANT = "bench"
DATABASE = "northwind"


Work = Callable[[], dict[str, Any]]
"""One measured run; its result has `seconds` at least."""


class Different(Exception):
    """Two runs that must give the same result do not: what was measured means nothing."""


@dataclass(frozen=True)
class Comparison:
    """One line of the table. `ours`, `theirs`: medians in `unit`; `ratio` is held against `target` (None: reported only)."""

    case: str
    what: str
    unit: str
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    target: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, list[float]] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        return None if self.target is None or self.ratio is None else self.ratio <= self.target


@dataclass(frozen=True)
class Bench:
    """What the cases share: how often to run, how many leads, where to put things, and where progress goes."""

    runs: int
    leads: int
    folder: Path
    say: Callable[[str], None]

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for one run, gone after it."""
        with TemporaryDirectory(dir=self.folder) as name:
            yield Path(name)

    @contextmanager
    def sandbox(self, leads: int | None = None, **options: Any) -> Iterator[Sandbox]:
        """The stand-in source with so many leads."""
        self.say(f"starting the sandbox with {leads or self.leads:,} leads")
        with running(
            databases=DATABASE, sources="odoo", leads=leads or self.leads, start=str(STORY_ENDS), **options
        ) as sandbox:
            yield sandbox

    def in_turns(self, works: Mapping[str, Work], warm_up: bool = True) -> dict[str, list[dict[str, Any]]]:
        """Run each of `works` once a round, so that whatever else this machine does falls on all of them.

        Parameters:
            warm_up: one more round before, which does not count.
        """
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in works}
        for number in range(-warm_up, self.runs):
            for name, work in works.items():
                result = work()
                if number >= 0:
                    results[name].append(result)
            shown = ", ".join(f"{name} {result[-1]['seconds']:.2f} s" for name, result in results.items() if result)
            self.say(f"round {number + 1} of {self.runs}: {shown}" if number >= 0 else "warmed up")
        return results


def seconds(results: list[dict[str, Any]]) -> list[float]:
    return [result["seconds"] for result in results]


def median(results: list[dict[str, Any]], key: str = "seconds") -> float:
    return statistics.median(result[key] for result in results)


def run_worker(module: str, *arguments: Any, watch_memory: bool = False) -> dict[str, Any]:
    """Run `python -m <module>` with JSON arguments.

    Parameters:
        watch_memory: sample the resident memory of the process and all that descend from it, which costs some time.

    Returns:
        What it printed last; `peak_bytes` of the process alone, or with `watch_memory` of all.

    Raises:
        RuntimeError: it failed; the message is the end of what it wrote to stderr.
    """
    command = [sys.executable, "-m", module, json.dumps(arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = _Peak(process.pid) if watch_memory else None
    out, errors = process.communicate()
    sampled = {"peak_bytes": peak.stop()} if peak else {}
    if process.returncode:
        raise RuntimeError(f"{module} failed with exit status {process.returncode}:\n{errors[-4000:]}")
    return {**json.loads(out.strip().rsplit("\n", 1)[-1]), **sampled}


def worker(work: Callable[..., dict[str, Any]]) -> None:
    """The `main` of a worker module: its JSON arguments in, its measurements out."""
    began = time.process_time()
    measured = work(*json.loads(sys.argv[1]))
    measured["cpu_seconds"] = time.process_time() - began
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike getrusage this does not remember the process that we were forked from.
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        measured["peak_bytes"] = int(peak.split()[1]) * 1024
    print(json.dumps(measured))


class _Peak:
    """Samples the resident memory of a process and all that descend from it. Pages that two of them share count twice."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            total = 0
            with suppress(psutil.Error):
                for process in [self._process, *self._process.children(recursive=True)]:
                    with suppress(psutil.Error):
                        total += process.memory_info().rss
            self._peak = max(self._peak, total)
