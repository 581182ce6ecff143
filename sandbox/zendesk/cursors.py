"""The cursors of Zendesk, exactly as recorded.

Exports: base64 of `<stamp>.0||<id>|`. Lists: base64 of `{"o": order, "v": base64 of packed values}`, where a value is `i` and 8
bytes, or `s`, the number of characters in 4 bytes, and text; little-endian.
"""

import base64
import binascii
import json
import struct


class BadCursor(ValueError):
    """Text that is no cursor."""


def export_cursor(stamp: int, record_id: int) -> str:
    """Behind which record an export goes on."""
    return base64.b64encode(f"{stamp}.0||{record_id}|".encode()).decode()


def read_export_cursor(text: str) -> tuple[int, int]:
    """(stamp, id) of an export's cursor.

    Raises:
        BadCursor: it is none.
    """
    try:
        stamp, _, rest = base64.b64decode(text, validate=True).decode().partition("||")
        record_id, bar, more = rest.partition("|")
        if bar != "|" or more:
            raise BadCursor(text)
        return int(float(stamp)), int(record_id)
    except (binascii.Error, ValueError) as error:
        raise BadCursor(text) from error


def list_cursor(order: str, *values: int | str) -> str:
    """Behind (or before) which record a list goes on; `order`: the names of its keys."""
    packed = b"".join(map(_packed, values))
    inner = json.dumps({"o": order, "v": base64.b64encode(packed).decode()}, separators=(",", ":"))
    return base64.b64encode(inner.encode()).decode()


def _packed(value: int | str) -> bytes:
    if isinstance(value, str):
        return b"s" + struct.pack("<i", len(value)) + value.encode()
    return struct.pack("<cq", b"i", value)


def read_list_cursor(order: str, text: str) -> tuple[int | str, ...]:
    """The values of a list's cursor.

    Raises:
        BadCursor: it is none, or one of another order.
    """
    try:
        inner = json.loads(base64.b64decode(text, validate=True))
        if inner["o"] != order:
            raise BadCursor(text)
        packed, values, at = base64.b64decode(inner["v"]), [], 0
        while at < len(packed):
            if packed[at : at + 1] == b"s":
                (length,) = struct.unpack_from("<i", packed, at + 1)
                values.append(packed[at + 5 :].decode(errors="ignore")[:length])
                at += 5 + len(values[-1].encode())
            else:
                values.append(struct.unpack_from("<q", packed, at + 1)[0])
                at += 9
        return tuple(values)
    except (binascii.Error, ValueError, KeyError, TypeError, struct.error) as error:
        raise BadCursor(text) from error
