"""Counts what clients asked: requests, rows and bytes per (database, model, method)."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """What one kind of request amounted to."""

    requests: int = 0
    errors: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass
class Traffic:
    """All tallies since the last reset."""

    tallies: dict[tuple[str, str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))

    def count(self, database: str, model: str, method: str, rows: int, size: int, failed: bool) -> None:
        """Add one request."""
        tally = self.tallies[database, model, method]
        tally.requests += 1
        tally.errors += failed
        tally.rows += rows
        tally.bytes += size

    def reset(self) -> None:
        """Start counting anew."""
        self.tallies.clear()

    def describe(self) -> list[dict[str, Any]]:
        """One entry per kind of request."""
        return [
            {"database": database, "model": model, "method": method, **vars(tally)}
            for (database, model, method), tally in sorted(self.tallies.items())
        ]
