"""JSON as servers really write it.

Python servers emit `NaN` and `Infinity`, and escapes of half a surrogate pair that no UTF-8 text can hold. The lake
keeps such values visibly instead of losing the page: NaN becomes the text "NaN", a lone surrogate the six characters
of its escape, so that every later reader can parse what we store.
"""

import json
import math
import re
from typing import Any

import msgspec

_SURROGATE = re.compile("[\ud800-\udfff]")


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
