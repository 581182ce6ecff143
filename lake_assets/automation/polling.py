"""Asking sources "anything new?": how often each may be asked, and that one which hangs keeps no other waiting."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from lake_config import SourceSettings, source_types
from resources.connecting import connect

log = logging.getLogger(__name__)

T = TypeVar("T")

POLL_SECONDS = 60
"""Where asking is free, or nearly; also how often sensors look whether a poll is due."""

POLL_SHARE = 0.05
"""Of a day's budget, at most."""

ANSWER_SECONDS = 30.0
"""So long a tick waits for answers; Dagster ends one after a minute."""

AT_ONCE = 8

_asked_still: set[str] = set()
"""Questions of earlier ticks of this process that are not answered yet."""


def poll_cost(source: SourceSettings) -> float:
    """What one poll of an instance may cost, in the unit of its budget."""
    kind = source_types()[source.type]
    if not kind.poll_cost_a_table:
        return kind.poll_cost
    connector = connect("", source.type, source)
    try:
        return kind.poll_cost + kind.poll_cost_a_table * len(connector.tables())
    finally:
        connector.close()


def poll_seconds(source: SourceSettings) -> float:
    """Seconds between two polls of an instance: a minute, or as many as keep them below `POLL_SHARE` of what its day may cost, by
    the vendor's limit or by `max_per_day`, whichever is lower."""
    kind = source_types()[source.type]
    budgets = [budget for budget in (kind.daily_budget(source), source.max_per_day) if budget]
    if not budgets:
        return POLL_SECONDS
    return max(POLL_SECONDS, 24 * 3600 * poll_cost(source) / (POLL_SHARE * min(budgets)))


class Polls:
    """When each instance was asked last.

    Parameters:
        asked: `tenant/source` -> Unix time.
    """

    def __init__(self, asked: dict[str, float], now: datetime | None = None) -> None:
        self.asked = asked
        self._now = (now or datetime.now(UTC)).timestamp()

    def due(self, tenant: str, name: str, source: SourceSettings) -> bool:
        """Whether the instance may be asked again; if so, this counts as asking. The sensor's own ticks keep the shortest
        interval; they come a little unevenly, so a poll may be up to a tenth early."""
        key, interval = f"{tenant}/{name}", poll_seconds(source)
        if interval > POLL_SECONDS and self._now - self.asked.get(key, 0.0) < 0.9 * interval:
            return False
        self.asked[key] = self._now
        return True


def ask_all(
    what: str, names: Sequence[str], question: Callable[[str], T], seconds: float = ANSWER_SECONDS
) -> dict[str, T]:
    """The answers about each of `names` that came in time, in the order of `names`. A question that fails or hangs is logged and
    left out; one that still hangs when it is to be asked again is not asked again.

    Parameters:
        what: tells these questions from others about the same names.
    """
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        if f"{what}/{name}" in _asked_still:
            log.warning("%s: no answer about %s yet", what, name)
        else:
            todo.put(name)
    answers: dict[str, T] = {}

    def work() -> None:
        while True:
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            _asked_still.add(f"{what}/{name}")
            try:
                answers[name] = question(name)
            except Exception:
                log.exception("%s: cannot tell whether %s has news", what, name)
            finally:
                _asked_still.discard(f"{what}/{name}")

    # Daemons: a process that ends does not wait for a server that never answers.
    workers = [threading.Thread(target=work, name=f"poll-{what}", daemon=True) for _ in range(AT_ONCE)]
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    return {name: answers[name] for name in names if name in answers}
