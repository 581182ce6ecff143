"""JSON as servers really write it.

Python servers emit `NaN` and `Infinity`, and escapes of half a surrogate pair that no UTF-8 text can hold. The lake
keeps such values visibly instead of losing the page: NaN becomes the text "NaN", a lone surrogate the six characters
of its escape, so that every later reader can parse what we store.
"""

import json
import math
import re
from functools import cache
from typing import Any

import msgspec
import orjson

_encode_any = msgspec.json.Encoder().encode
_encode_any_sorted = msgspec.json.Encoder(order="sorted").encode
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(value: Any) -> bytes:
    """JSON text of what `decode` gives."""
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits, which only the slower of the two writes
        return _encode_any(value)


def encode_sorted(value: Any) -> bytes:
    """The same with the keys of every object in order."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return _encode_any_sorted(value)


def decode_kept(text: bytes) -> tuple[Any, bytes]:
    """The value that `text` describes, and a text of it that every reader can parse: the same one if possible.

    Raises:
        ValueError: `text` is not JSON.
    """
    try:
        return msgspec.json.decode(text), text
    except (msgspec.MsgspecError, UnicodeDecodeError):
        value = decode(text)
        return value, encode(value)


def items(body: bytes, key: str | None = None) -> list[bytes] | None:
    """The texts of the items of a JSON array, which is all of `body` or stands under `key` of the object that it is.

    Cutting an answer up costs a fifth of decoding it, and a record decoded when its turn comes is still in the processor's
    cache when it is encoded.

    Returns:
        None if there is no such array, or `body` is not strictly JSON.
    """
    try:
        found = _cutter(key).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return [bytes(item) for item in (found.items if key else found)]


@cache
def _cutter(key: str | None) -> msgspec.json.Decoder[Any]:
    kind = list[msgspec.Raw]
    if key is not None:
        kind = msgspec.defstruct("Envelope", [("items", kind, msgspec.field(name=key))])
    return msgspec.json.Decoder(kind)


def decode(body: bytes) -> Any:
    """The value that `body` describes; integers are exact, whatever their size.

    Raises:
        ValueError: `body` is not JSON, even with the liberties above.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _decode_tolerantly(body)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _decode_tolerantly(body: bytes) -> Any:
    # Bytes that are no UTF-8 come out as lone surrogates and so end up escaped like these.
    text = body.decode("utf-8-sig", "surrogateescape")
    try:
        value = json.loads(text, parse_constant=str, parse_float=_float, parse_int=_int, strict=False)
        return _visible(value)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _int(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:  # Python refuses more than 4,300 digits
        return text


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub(lambda match: f"\\u{ord(match.group()):04x}", value)
    if isinstance(value, list):
        return [_visible(item) for item in value]
    if isinstance(value, dict):
        return {_visible(key): _visible(item) for key, item in value.items()}
    return value
