"""Configured fields of a table (`include`, `exclude`) for sources that always answer with whole records.

What belongs here: which columns a schema keeps, and records cut down to them before the lake sees them. What does not: reading.
"""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lake_config import TableOptions
from resources.connectors import json_text
from resources.connectors.base import Column, Page, PermanentError


@dataclass(frozen=True)
class ChosenFields:
    """What of a table is kept.

    Parameters:
        columns: all there are.
        options: as configured; None keeps everything.
        always: members of a record that stay in any case (its id, its modification time).
    """

    columns: Sequence[Column]
    options: TableOptions | None
    always: tuple[str, ...]

    def kept(self, where: str, keys: str) -> tuple[Column, ...]:
        """The columns of the schema.

        Parameters:
            where: how messages name the table; `keys`: the path of its options in `lake.yaml`.

        Raises:
            PermanentError: a configured name is none of the columns'.
        """
        if self.options is None:
            return tuple(self.columns)
        names = [column.name for column in self.columns]
        for name in [*(self.options.include or ()), *self.options.exclude]:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
                hint = f" (did you mean {' or '.join(close)}?)" if close else ""
                raise PermanentError(f"{where}: {keys} names {name}, which is no column{hint}")
        return tuple(column for column in self.columns if self._keeps(column))

    def cut(self, pages: Iterable[Page]) -> Iterator[Page]:
        """The pages with records that hold nothing else."""
        if self.options is None or (self.options.include is None and not self.options.exclude):
            yield from pages
            return
        for page in pages:
            yield replace(page, records=[self._cut(record) for record in page.records])

    def _keeps(self, column: Column) -> bool:
        assert self.options is not None
        path = column.path or (column.name,)
        if len(path) == 1 and path[0] in self.always:
            return True
        wanted = self.options.include is None or column.name in self.options.include
        return wanted and column.name not in self.options.exclude

    def _cut(self, given: Any) -> dict[str, Any]:
        record: dict[str, Any] = json_text.decode(given) if isinstance(given, bytes) else given
        assert self.options is not None
        if self.options.include is not None:
            whole = {name: record[name] for name in self.always if name in record}
            for column in filter(self._keeps, self.columns):
                _copy(record, whole, column.path or (column.name,))
            return whole
        for column in self.columns:
            if not self._keeps(column):
                record = _without(record, column.path or (column.name,))
        return record


def _copy(source: Any, target: dict[str, Any], path: tuple[str, ...]) -> None:
    for name in path[:-1]:
        if not isinstance(source, dict) or not isinstance(source.get(name), dict):
            return
        source, target = source[name], target.setdefault(name, {})
    if isinstance(source, dict) and path[-1] in source:
        target[path[-1]] = source[path[-1]]


def _without(record: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """A copy without the member at `path`."""
    inner = record.get(path[0])
    if len(path) == 1:
        return {name: value for name, value in record.items() if name != path[0]}
    return {**record, path[0]: _without(inner, path[1:])} if isinstance(inner, dict) else record
