"""Date and time literals as Postgres reads them from a domain."""

import re
from datetime import UTC, datetime

from sandbox.odoo.errors import data_error

_LITERAL = re.compile(
    r"\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?"
    r"\s*(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?\s*",
    re.IGNORECASE,
)


def moment_literal(text: str, operator: str) -> str:
    """A literal compared with a datetime field, in stored form.

    A bare day means 23:59:59 of it for `>` and `<=` and midnight otherwise; a zone is read and ignored.
    """
    if len(text) == 10:
        text += " 23:59:59" if operator in (">", "<=") else " 00:00:00"
    match = _LITERAL.fullmatch(text)
    if match is None:
        raise data_error("InvalidDatetimeFormat", f'invalid input syntax for type timestamp: "{text}"\n')
    year, month, day, hour, minute, second, fraction = match.groups()
    try:
        whole = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
    except ValueError:
        raise data_error("DatetimeFieldOverflow", f'date/time field value out of range: "{text}"\n') from None
    return f"{whole:%Y-%m-%d %H:%M:%S}.{(fraction or '0')[:6]:0<6}"


def date_literal(text: str) -> str:
    """A literal compared with a date field: the day it names."""
    return moment_literal(text, "=")[:10]
