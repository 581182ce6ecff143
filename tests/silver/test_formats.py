"""E-mail addresses and telephone numbers: the quick patterns accept nothing that the libraries would not."""

import re
import string

import duckdb
import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lake_assets.silver.formats import (
    PLAIN_EMAIL,
    email_sql,
    is_email,
    is_phone,
    phone_sql,
    plain_phone,
    register_formats,
)

SEPARATORS = " ()./-"


def verdicts(expression: str, texts: list[str | None], country: str | None = None) -> list[bool | None]:
    """What `expression` says of each text, in SQL; its columns are called `text` and `country`."""
    query = f"SELECT {expression} FROM (SELECT unnest(CAST(? AS VARCHAR[])) AS text, CAST(? AS VARCHAR) AS country)"
    with duckdb.connect() as connection:
        register_formats(connection)
        return [row[0] for row in connection.execute(query, [texts, country]).fetchall()]


@st.composite
def international_numbers(draw: st.DrawFn) -> str:
    """`+`, a country's calling code and 4 to 14 digits, with separators anywhere."""
    code = draw(st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)))
    digits = f"+{code}" + draw(st.text(string.digits, min_size=4, max_size=14))
    gaps = draw(st.lists(st.tuples(st.integers(0, len(digits)), st.sampled_from(SEPARATORS)), max_size=5))
    for place, separator in sorted(gaps, reverse=True):
        digits = digits[:place] + separator + digits[place:]
    return digits


@settings(max_examples=30, deadline=None)
@given(st.lists(international_numbers(), min_size=30, max_size=60))
@example(["+49 30 901820", "(+49) 30/901820-", "+1 (555) 555-5556"])
def test_a_plain_number_is_one_for_the_library(texts: list[str]) -> None:
    bare = f"regexp_replace(text, '[{SEPARATORS}]', '', 'g')"
    plain = verdicts(f"regexp_full_match({bare}, '{plain_phone()}')", [*texts])
    assert all(is_phone(text) for text, matched in zip(texts, plain, strict=True) if matched)
    assert verdicts(phone_sql("text", None), [*texts]) == [is_phone(text) for text in texts]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(max_size=40) | st.text(string.digits + string.ascii_letters + "@.+-() ", max_size=40), max_size=20)
)
def test_any_text_has_a_verdict_and_sql_gives_the_same(texts: list[str]) -> None:
    assert verdicts(email_sql("text"), [*texts]) == [is_email(text) for text in texts]
    assert verdicts(phone_sql("text", "country"), [*texts], "DE") == [is_phone(text, "DE") for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "ada@example.com",
        "Ada.Lovelace+crm@mail.example.co.uk",
        " padded@example.com ",
        "用户@例子.广告",
        "jürgen@müller.de",
        "x@sub.domain.example",
    ],
)
def test_addresses(text: str) -> None:
    assert is_email(text)
    assert verdicts(email_sql("text"), [text]) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "foo@",
        "@example.com",
        "a b@example.com",
        "a@b@example.com",
        "a..b@example.com",
        "ada@-example.com",
        "ada@localhost",
    ],
)
def test_no_addresses(text: str) -> None:
    assert not is_email(text)
    assert verdicts(email_sql("text"), [text]) == [False]


def test_an_address_longer_than_mail_allows_is_none() -> None:
    text = "a" * 250 + "@example.com"
    assert re.fullmatch(PLAIN_EMAIL, text)
    assert verdicts(email_sql("text"), [text]) == [is_email(text)] == [False]


@pytest.mark.parametrize(
    ("text", "country", "verdict"),
    [
        ("+49 30 901820", "", True),
        ("+1 555-555-5556", "", True),
        ("(846)-523-2111", "", True),
        ("030 901820", "", True),
        ("0664 1234567", "AT", True),
        ("123456", "", True),
        ("123456789012345", "", True),
        ("12345", "", False),
        ("2345678901234567", "", False),
        ("ask reception", "", False),
        ("", "", False),
        ("+49 3", "", False),
        ("+999 123456789", "", False),
        ("1", "DE", False),
        ("030 901820", "de", True),
        ("030 901820", "ZZ", True),
        ("030 901820", "UK", True),
        ("+49 30 901820", "ZZ", True),
    ],
)
def test_numbers_with_and_without_a_country(text: str, country: str, verdict: bool) -> None:
    assert is_phone(text, country) is verdict
    assert verdicts(phone_sql("text", "country"), [text], country) == [verdict]


def test_nothing_has_no_verdict() -> None:
    assert verdicts(email_sql("text"), [None]) == [None]
    assert verdicts(phone_sql("text", "country"), [None]) == [None]


def test_many_values_at_once_keep_their_places() -> None:
    addresses = [{0: f"a{i}@Example.com", 1: f"broken{i}"}.get(i % 3) for i in range(10_000)]
    assert verdicts(email_sql("text"), [*addresses]) == [{0: True, 1: False}.get(i % 3) for i in range(10_000)]
    numbers = [f"030 90{i}" if i % 2 else None for i in range(10_000)]
    assert verdicts(phone_sql("text", None), [*numbers]) == [is_phone(text) if text else None for text in numbers]
