"""Columns out of botocore's descriptions of what operations answer: structures become readable names, deep in the record.

What belongs here: shapes -> columns. What does not: asking AWS.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from resources.connectors.base import Column

MONEY = "DECIMAL(18,2)"
Prefixes = Mapping[tuple[str, ...], str | None]
"""Path of a structure -> how the names of what is in it begin instead of with the path; None: leave it out."""

_DATE = re.compile(r"\[1-9\]\[0-9\]\{3\}-\(0\[1-9\]")
_SIMPLE = {"string": "text", "character": "text", "integer": "integer", "long": "integer", "boolean": "boolean",
           "timestamp": "timestamp", "float": "double", "double": "double", "blob": "text"}  # fmt: skip


@cache
def _session() -> Any:
    import botocore.session

    return botocore.session.get_session()


@cache
def output_shape(service: str, operation: str) -> Any:
    """The shape of an operation's answer."""
    return _session().get_service_model(service).operation_model(operation).output_shape


def snake(name: str) -> str:
    """`AwsMarketplaceOffers` -> `aws_marketplace_offers`, `agreementId` -> `agreement_id`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def columns_of(shape: Any, at: tuple[str, ...] = (), prefixes: Prefixes | None = None) -> tuple[Column, ...]:
    """One column for each simple member of a structure and of those within it; lists of texts are `texts`, everything else that
    is no single value is `json`.

    Parameters:
        at: where in the record the structure stands.
    """
    return tuple(_members(shape, at, "_".join(map(snake, at)), prefixes or {}, ()))


def _members(
    shape: Any, at: tuple[str, ...], prefix: str, prefixes: Prefixes, above: tuple[str, ...]
) -> Iterator[Column]:
    prefix = prefixes[at] or "" if at in prefixes else prefix
    for name, member in shape.members.items():
        path = (*at, name)
        if path in prefixes and prefixes[path] is None:
            continue
        own = f"{prefix}_{snake(name)}" if prefix else snake(name)
        nested = member.type_name == "structure" and not member.metadata.get("document") and member.name not in above
        if nested and member.members:
            yield from _members(member, path, own, prefixes, (*above, member.name))
        else:
            yield _column(own, path, name, member)


def _column(name: str, path: tuple[str, ...], member: str, shape: Any) -> Column:
    kind, sql_type = _SIMPLE.get(shape.type_name, "json"), ""
    if shape.type_name == "list" and shape.member.type_name == "string":
        kind = "texts"
    elif kind == "text" and (member.endswith("Amount") or member == "agreementValue"):
        kind, sql_type = "decimal", MONEY
    elif kind == "text" and _DATE.match(shape.metadata.get("pattern", "")):
        kind = "date"
    label = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", ".".join(path))
    return Column(name, kind, shape.type_name, label, path=path, sql_type=sql_type)  # type: ignore[arg-type]
