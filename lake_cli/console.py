"""How the command speaks: tables and JSON on stdout, everything else on stderr."""

import csv
import json
import math
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lake_config import ConfigError, MissingVariableError, Settings, load_settings

err = Console(stderr=True, highlight=False)
out = Console(highlight=False)


def fail(message: str, status: int = 2) -> NoReturn:
    """Say what is wrong on stderr and exit."""
    err.print(message, style="red", markup=False, soft_wrap=True)
    sys.exit(status)


def readable(error: Exception) -> str | None:
    """What to tell the user about an error that is not ours: something is missing, unreachable or in use. None if it is
    a mistake in the program."""
    from resources.embedded_postgres import PostgresError
    from resources.locks import LockHeld
    from resources.postgres import ConnectionFailed

    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    known: tuple[type[Exception], ...] = (ConfigError, MissingVariableError, ConnectionFailed, PostgresError, LockHeld)
    if "botocore" in sys.modules:  # a lake in S3
        from botocore.exceptions import BotoCoreError

        known = (*known, BotoCoreError)
    return str(error) if isinstance(error, known) else None


def settings_or_exit() -> Settings:
    try:
        return load_settings()
    except ConfigError as error:
        fail(str(error))


def print_json(value: Any, indent: int | None = 2) -> None:
    """`value` as JSON; what JSON has no form for becomes its text, and what it has no number for null."""
    sys.stdout.write(json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else str(value)


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Comma-separated, with a header; lists and structures as JSON."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    return value.hex() if isinstance(value, bytes) else value


PIPED_WIDTH = 200
READABLE_COLUMN = 8
"""Characters; where columns would get fewer, records are printed one below the other."""


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table whose numbers stand to the right."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | Decimal | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_shown, row))
    _print_wide(table)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table, or where it would have too many columns to be read, a list of each record's columns."""
    width = out.width if out.is_terminal else PIPED_WIDTH
    if len(columns) * (READABLE_COLUMN + 3) < width:
        print_table("", columns, rows)
        return
    for number, row in enumerate(rows, 1):
        record = Table(f"{number} of {len(rows)}", "", title_justify="left")
        for column, value in zip(columns, row, strict=True):
            record.add_row(column, _shown(value))
        _print_wide(record)


def _shown(value: Any) -> Text:
    if value is None or isinstance(value, bool):
        return Text({None: "", True: "true", False: "false"}[value])
    return Text(f"{value:,}" if isinstance(value, int) else str(value))


def _print_wide(table: Table) -> None:
    if out.is_terminal:
        out.print(table)
    else:
        Console(file=sys.stdout, width=PIPED_WIDTH, highlight=False).print(table)
