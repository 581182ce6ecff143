"""The AWS services as botocore's models describe them: which operation a request is for, and what is wrong with its parameters.

Nothing here knows what any operation answers.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape

from sandbox.aws.moments import parse

NAMES = ("partnercentral-selling", "partnercentral-benefits", "marketplace-catalog", "marketplace-agreement")


@dataclass(frozen=True)
class Violation:
    """One thing wrong with a request: where, in words, and AWS's code for it."""

    field: str
    message: str
    code: str


@lru_cache(maxsize=1)
def models() -> dict[str, ServiceModel]:
    """Service name -> botocore's model of it."""
    session = botocore.session.get_session()
    return {name: session.get_service_model(name) for name in NAMES}


@lru_cache(maxsize=1)
def targets() -> dict[str, str]:
    """Prefix of the X-Amz-Target header -> service name, for services that are called by such a header."""
    prefixes = {name: model.metadata.get("targetPrefix") for name, model in models().items()}
    return {prefix: name for name, prefix in prefixes.items() if prefix}


def operation(service: str, name: str) -> OperationModel:
    """The model of one operation."""
    return models()[service].operation_model(name)


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def validate(shape: Shape, value: Any, path: str = "") -> list[Violation]:
    """What AWS would refuse in `value`. Explicit nulls count as absent, unknown members are ignored, as AWS does."""
    if value is None:
        return []
    check = _CHECKS.get(shape.type_name)
    return check(shape, value, path) if check else []


def _wrong(path: str, constraint: str, code: str) -> list[Violation]:
    message = f"Value at '{path or 'input'}' failed to satisfy constraint: Member must {constraint}"
    return [Violation(path, message, code)]


def _structure(shape: Any, value: Any, path: str) -> list[Violation]:
    if not isinstance(value, dict):
        return _wrong(path, "be a structure", "INVALID_VALUE")
    found = []
    for name in shape.required_members:
        if value.get(name) is None:
            found += _wrong(f"{path}.{name}" if path else name, "not be null", "REQUIRED_FIELD_MISSING")
    for name, member in shape.members.items():
        found += validate(member, value.get(name), f"{path}.{name}" if path else name)
    if shape.metadata.get("union") and sum(value.get(name) is not None for name in shape.members) != 1:
        found += _wrong(path, "hold exactly one of its members", "INVALID_VALUE")
    return found


def _list(shape: Any, value: Any, path: str) -> list[Violation]:
    if not isinstance(value, list):
        return _wrong(path, "be a list", "INVALID_VALUE")
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
    if len(value) < low:
        return _wrong(path, f"have length greater than or equal to {low}", "NOT_ENOUGH_VALUES")
    if high is not None and len(value) > high:
        return _wrong(path, f"have length less than or equal to {high}", "TOO_MANY_VALUES")
    return [fault for number, item in enumerate(value) for fault in validate(shape.member, item, f"{path}.{number}")]


def _string(shape: Any, value: Any, path: str) -> list[Violation]:
    if not isinstance(value, str):
        return _wrong(path, "be a string", "INVALID_VALUE")
    if shape.enum and value not in shape.enum:
        return _wrong(path, f"satisfy enum value set: [{', '.join(shape.enum)}]", "INVALID_ENUM_VALUE")
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
    if len(value) < low or (high is not None and len(value) > high):
        return _wrong(path, f"have length between {low} and {high}", "INVALID_STRING_FORMAT")
    pattern = shape.metadata.get("pattern")
    if pattern and not _pattern(pattern).fullmatch(value):
        return _wrong(path, f"satisfy regular expression pattern: {pattern}", "INVALID_STRING_FORMAT")
    return []


def _integer(shape: Any, value: Any, path: str) -> list[Violation]:
    if not isinstance(value, int) or isinstance(value, bool):
        return _wrong(path, "be an integer", "INVALID_VALUE")
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        return _wrong(path, f"have value greater than or equal to {low}", "VALUE_OUT_OF_RANGE")
    if high is not None and value > high:
        return _wrong(path, f"have value less than or equal to {high}", "VALUE_OUT_OF_RANGE")
    return []


def _timestamp(shape: Any, value: Any, path: str) -> list[Violation]:
    try:
        parse(value)
    except (ValueError, TypeError, OverflowError):
        return _wrong(path, "be a timestamp", "INVALID_VALUE")
    return []


_CHECKS = {
    "structure": _structure, "list": _list, "string": _string, "integer": _integer, "timestamp": _timestamp,
}  # fmt: skip


def complete(shape: Any, value: Any) -> Any:
    """The value with an explicit null for every member that it lacks, as Partner Central writes what is empty (recorded)."""
    if value is None:
        return None
    if shape.type_name == "structure" and not shape.metadata.get("document"):
        if shape.metadata.get("union"):
            return {name: complete(shape.members[name], item) for name, item in value.items()}
        return {name: complete(member, value.get(name)) for name, member in shape.members.items()}
    if shape.type_name == "list":
        return [complete(shape.member, item) for item in value]
    return value
