"""Decoding what servers call JSON."""

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.connectors import json_text
from resources.connectors.json_text import decode

any_text = st.text(st.characters(exclude_categories=()))
clean_text = st.text()


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=20
    )


@given(values(clean_text))
def test_clean_json_comes_back_exactly(value: Any) -> None:
    assert decode(json.dumps(value).encode()) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode()) == value


@given(values(any_text) | st.floats())
def test_whatever_python_serializes_can_be_read_and_stored_as_utf8(value: Any) -> None:
    result = decode(json.dumps(value).encode())
    stored = json.dumps(result, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(stored) == result


@given(any_text)
def test_lone_surrogates_stay_visible(text: str) -> None:
    # json.dumps and back joins what happens to stand as a pair.
    joined = json.loads(json.dumps(text))
    expected = "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in joined)
    assert decode(json.dumps([text]).encode()) == [expected]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_value_error(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(body)


@given(st.binary(max_size=30))
def test_bytes_that_are_no_text_stay_visible(noise: bytes) -> None:
    quoted = noise.replace(b"\\", b"").replace(b'"', b"")
    result = decode(b'["' + quoted + b'"]')
    json.dumps(result, ensure_ascii=False).encode()
    assert isinstance(result[0], str)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": NaN, "b": Infinity, "c": -Infinity}', {"a": "NaN", "b": "Infinity", "c": "-Infinity"}),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'[NaN, 18446744073709551617, "\\u0000"]', ["NaN", 18446744073709551617, "\x00"]),
        (b"[1e999]", ["1e999"]),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'["\\ud83d", "\\ud83d\\ude00", "\xe2\x82\xac"]', ["\\ud83d", "\U0001f600", "\u20ac"]),
        (b"\xef\xbb\xbf[1]", [1]),
        (b'{"\\udc00": 1}', {"\\udc00": 1}),
    ],
)
def test_known_oddities(body: bytes, value: Any) -> None:
    assert decode(body) == value


def test_a_number_too_long_for_python_stays_text() -> None:
    digits = "9" * 5000
    assert decode(digits.encode()) == digits


def test_a_large_text_is_read() -> None:
    text = "ä" * 1_000_000
    assert decode(json.dumps({"text": text}).encode()) == {"text": text}


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'{"a": }', b"[" * 100_000, b'["\\ud800"' + b"[" * 100_000])
def test_what_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(body)


def test_numbers_keep_their_kind() -> None:
    result = decode(b"[1, 1.0, 1e2]")
    assert [type(value) for value in result] == [int, float, float]
    assert math.isclose(result[2], 100.0)


@given(st.lists(values(clean_text)), st.sampled_from(["result", None]), st.booleans())
def test_cutting_up_an_array_gives_its_items(items: list[Any], key: str | None, compact: bool) -> None:
    whole: Any = items if key is None else {"jsonrpc": "2.0", key: items, "id": 3}
    body = json.dumps(whole, separators=(",", ":") if compact else None).encode()
    texts = json_text.items(body, key)
    assert texts is not None
    assert [json.loads(text) for text in texts] == items


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": 200}}',
        b'{"result": false}',
        b'{"result": [{"x": NaN}]}',
        b'{"result": [1, 2',
        b"[1]",
        b"<p>",
    ],
)
def test_what_is_no_strict_array_is_not_cut_up(body: bytes) -> None:
    assert json_text.items(body, "result") is None
