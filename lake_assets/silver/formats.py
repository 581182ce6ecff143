"""Is this an e-mail address, is this a telephone number: two well-kept libraries, at the speed of a regular expression.

The libraries cost tens of microseconds a value. So the plain cases are recognised in SQL, by patterns that accept only
what the library accepts too (a property test holds them together), and just the rest is asked of the library, each
distinct value once.
"""

from collections import defaultdict
from functools import lru_cache

import duckdb
import phonenumbers
import pyarrow as pa
from email_validator import EmailNotValidError, validate_email

PLAIN_EMAIL = (
    r"[a-z0-9]+([._+-][a-z0-9]+)*@[a-z0-9]{2,30}(-[a-z0-9]{2,30})?"
    r"\.(com|net|io|de|at|ch|fr|nl|be|it|es|pt|se|no|dk|fi|pl|eu)"
)
"""Lower-case addresses of the commonest shape; that they are short enough is checked beside it."""

_SEPARATORS = r"[ ().\-/]"


@lru_cache(maxsize=1)
def plain_phone() -> str:
    """A pattern of every international number (`+`, country calling code, digits) whose length is possible in that
    country, from the library's own metadata."""
    lengths: dict[int, set[int]] = defaultdict(set)
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions:
            metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            if metadata is not None and metadata.general_desc is not None:
                lengths[code].update(size for size in metadata.general_desc.possible_length if size > 0)
    alternatives = []
    for code, sizes in sorted(lengths.items()):
        if sizes:
            digits = "|".join(f"[1-9][0-9]{{{size - 1}}}" for size in sorted(sizes))
            alternatives.append(f"{code}(?:{digits})")
    return r"\+(?:" + "|".join(alternatives) + ")"


@lru_cache(maxsize=100_000)
def is_email(text: str) -> bool:
    """Whether `text` is an address that could receive mail, by email-validator; its domain is not looked up."""
    try:
        validate_email(text.strip(), check_deliverability=False, allow_smtputf8=True, test_environment=True)
    except EmailNotValidError:
        return False
    return True


@lru_cache(maxsize=100_000)
def is_phone(text: str, country: str = "") -> bool:
    """Whether `text` is a number of a possible length, by phonenumbers.

    Parameters:
        country: ISO 3166 alpha-2 code for numbers without an international prefix. Without a code that exists, such a
            number passes if it has 6 to 15 digits.
    """
    region = country.upper() if country.upper() in phonenumbers.SUPPORTED_REGIONS else None
    try:
        if phonenumbers.is_possible_number(phonenumbers.parse(text, region)):
            return True
    except phonenumbers.NumberParseException:
        if region is None and not text.strip().startswith("+"):
            return _is_national(text)
    return False


def _is_national(text: str) -> bool:
    try:
        digits = phonenumbers.national_significant_number(phonenumbers.parse(text, "US"))
    except phonenumbers.NumberParseException:
        return False
    return 6 <= len(digits) <= 15


def email_sql(column: str) -> str:
    """SQL: whether the text in `column` is an e-mail address."""
    plain = f"regexp_full_match({column}, '{PLAIN_EMAIL}') AND length({column}) <= 64"
    return f"CASE WHEN {plain} THEN true ELSE lib_is_email({column}) END"


def phone_sql(column: str, country: str | None) -> str:
    """SQL: whether the text in `column` is a telephone number."""
    bare = f"regexp_replace({column}, '{_SEPARATORS}', '', 'g')"
    other = f"lib_is_phone({column}, coalesce({country or 'NULL'}, ''))"
    return f"CASE WHEN regexp_full_match({bare}, '{plain_phone()}') THEN true ELSE {other} END"


def register_formats(connection: duckdb.DuckDBPyConnection) -> None:
    """Give `connection` the functions that `email_sql` and `phone_sql` call."""
    connection.create_function("lib_is_email", _email_array, ["VARCHAR"], "BOOLEAN", type="arrow")  # type: ignore[arg-type]
    connection.create_function("lib_is_phone", _phone_array, ["VARCHAR", "VARCHAR"], "BOOLEAN", type="arrow")  # type: ignore[arg-type]


def _email_array(values: pa.ChunkedArray) -> pa.Array:
    encoded = values.combine_chunks().dictionary_encode()
    verdicts = pa.array(
        [None if text is None else is_email(text) for text in encoded.dictionary.to_pylist()], pa.bool_()
    )
    return verdicts.take(encoded.indices)


def _phone_array(values: pa.ChunkedArray, countries: pa.ChunkedArray) -> pa.Array:
    pairs = zip(values.to_pylist(), countries.to_pylist(), strict=True)
    return pa.array([None if text is None else is_phone(text, country or "") for text, country in pairs], pa.bool_())
