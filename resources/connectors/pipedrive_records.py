"""What reading Pipedrive needs to know of a record, without decoding all of it: its id, and when it changed."""

from datetime import datetime
from typing import Any

import msgspec

Record = dict[str, Any] | bytes
"""Decoded, or the JSON text as it came."""


class Stamp(msgspec.Struct):
    """A record's id and when it changed, by its own word."""

    id: int
    update_time: str | None = None


_decode_stamp = msgspec.json.Decoder(Stamp).decode


def stamp(record: Record) -> Stamp:
    """Of one of v2's tables."""
    if isinstance(record, bytes):
        return _decode_stamp(record)
    return Stamp(record["id"], record.get("update_time"))


def entry(record: Record) -> tuple[str, str | None]:
    """What an inventory says of it."""
    look = stamp(record)
    return str(look.id), look.update_time


def moment(record: Record) -> datetime | None:
    """When a record changed, by its own word."""
    text = stamp(record).update_time
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def field(record: Record, name: str) -> Any:
    """One member.

    Raises:
        KeyError: it has none of that name.
    """
    return (msgspec.json.decode(record) if isinstance(record, bytes) else record)[name]
