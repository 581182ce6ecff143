"""What reading Zendesk needs to know of a record, without decoding all of it: its id, its times, whether it is deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from resources.connectors import json_text

Record = dict[str, Any] | bytes
"""Decoded, or the JSON text as it came."""


class Look(msgspec.Struct):
    """Members of a record, of whatever type they are there."""

    id: Any = None
    generated_timestamp: Any = None
    updated_at: Any = None
    time: Any = None
    deleted_at: Any = None
    status: Any = None
    active: Any = None

    def text(self, name: str) -> str | None:
        """A member that is a text."""
        value = getattr(self, name)
        return value if isinstance(value, str) else None

    def is_deleted(self, marker: tuple[str, Any] | None) -> bool:
        """Whether the record has the value that marks deleted ones; `marker`: see `TableSchema.deleted`."""
        if marker is None:
            return False
        value = getattr(self, marker[0])
        return value is not None if marker[1] is ... else value == marker[1]


_look = msgspec.json.Decoder(Look)


def glance(record: Record) -> Look:
    """The record's few members that matter."""
    if isinstance(record, bytes):
        try:
            return _look.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            record = decoded(record)
    return Look(**{name: record.get(name) for name in Look.__struct_fields__})


def decoded(record: Record) -> dict[str, Any]:
    """The whole record."""
    return json_text.decode(record) if isinstance(record, bytes) else record


def stamp(look: Look) -> int | None:
    """The Unix second that exports order the record by. Users and organizations do not show it: of them one that is not later."""
    if isinstance(look.generated_timestamp, int):
        return look.generated_timestamp
    try:
        return int(datetime.fromisoformat(look.time or look.updated_at).timestamp())
    except (TypeError, ValueError):
        return None


def before(records: Sequence[Record], hi: datetime | None, by_time: bool) -> tuple[Sequence[Record], bool]:
    """The records older than `hi` (None: all), and whether none can follow.

    Parameters:
        by_time: they come in the order of their times.
    """
    if hi is None:
        return records, False
    end = hi.timestamp()
    if not by_time:
        return [record for record in records if (stamp(glance(record)) or 0) < end], False
    for place, look in enumerate(map(glance, records)):
        if (stamp(look) or 0) >= end:
            return records[:place], True
    return records, False
