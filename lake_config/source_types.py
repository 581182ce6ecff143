"""Which kinds of source there are: the entry points `revlake.sources` of all installed packages, revlake's own among them.

So a source type is one module (its settings, its connector) and one line in a `pyproject.toml`, ours or another package's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

GROUP = "revlake.sources"


def _unlimited(settings: Any) -> float | None:
    return None


@dataclass(frozen=True)
class SourceType:
    """One kind of source.

    Parameters:
        name: as in `type:` of `lake.yaml`, in asset keys and in view names.
        settings: the block in `lake.yaml`, a `SourceSettings`.
        connector: (source instance's name, its settings, tenant, budget=) -> a `resources.connectors.base.Connector`; touches no
            network.
        poll_cost, poll_cost_a_table: what asking "anything new?" costs at most, in the unit of the budget: once, and for each
            table that the instance reads.
        daily_budget: settings -> what the vendor lets an account of theirs spend a day, in the same unit; None where asking is
            free. Polling is kept below a twentieth of it.
        webhook: (secret, headers with names in lower case, body) -> the `resources.connectors.base.Change`s that a message tells
            of, none if it is about what is not read. Raises `WebhookRefused` where the message is not the source's, `ValueError`
            where it cannot be understood. None where the source sends none.
    """

    name: str
    settings: type[Any]
    connector: Callable[..., Any]
    poll_cost: float = 1
    daily_budget: Callable[[Any], float | None] = _unlimited
    webhook: Callable[[str, Mapping[str, str], bytes], Sequence[Any]] | None = None
    poll_cost_a_table: float = 0


@cache
def source_types() -> dict[str, SourceType]:
    """Name -> source type, by name.

    Raises:
        RuntimeError: two packages offer a type of the same name.
    """
    found: dict[str, SourceType] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name in found:
            raise RuntimeError(f"two installed packages offer the source type {entry.name!r}")
        found[entry.name] = entry.load()
    return found
