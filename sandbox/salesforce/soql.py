"""SOQL: text in, a `Query` out. What it means to the records is in `query.py`.

Known: a list of fields, `FIELDS(...)`, COUNT(), MIN / MAX / COUNT of a field, GROUP BY DAY_ONLY(...); WHERE with AND,
OR, NOT, parentheses, = != <> < <= > >= LIKE IN NOT IN; ORDER BY with ASC / DESC and NULLS; LIMIT; OFFSET. No relationships.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

_TOKEN = re.compile(
    r"""\s+
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)
    |(?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)
    |(?P<word>[A-Za-z_][\w.]*)
    |(?P<sign><=|>=|!=|<>|[=<>(),])
    """,
    re.VERBOSE,
)
AGGREGATES = ("COUNT", "MIN", "MAX", "DAY_ONLY")
Kind = Literal["string", "moment", "date", "number", "boolean", "null"]


class SoqlError(Exception):
    """The query is refused. `code`: Salesforce's errorCode."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Value:
    """A value in a condition, and how it was written."""

    kind: Kind
    value: Any


@dataclass(frozen=True)
class Compare:
    """`field operator value`; IN has a tuple of literals."""

    field: str
    operator: str
    value: Value | tuple[Value, ...]


@dataclass(frozen=True)
class Junction:
    """AND, OR or NOT of conditions."""

    word: Literal["AND", "OR", "NOT"]
    parts: "tuple[Condition, ...]"


Condition = Compare | Junction


@dataclass
class Query:
    """A parsed query."""

    fields: list[str]
    source: str
    where: Condition | None = None
    order: list[tuple[str, bool]] | None = None
    """(field, descending)"""
    limit: int | None = None
    offset: int = 0
    count: bool = False
    """SELECT COUNT() FROM ..."""
    aggregates: list[tuple[str, str, str]] | None = None
    """(function, field, alias)"""
    days_of: str | None = None
    """GROUP BY DAY_ONLY(this field)"""


def wire(moment: datetime) -> str:
    """A moment as records have it; such texts sort by time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def parse(text: str) -> Query:
    """Raises `SoqlError`."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._tokens())
        self.at = 0

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        position = 0
        while position < len(self.text):
            found = _TOKEN.match(self.text, position)
            if found is None:
                raise self._unexpected(self.text[position], position)
            if found.lastgroup:
                yield found.lastgroup, found.group(), position
            position = found.end()

    def _unexpected(self, token: str, position: int) -> SoqlError:
        shown = self.text[max(0, position - 20) : position + 20]
        column = f"ERROR at Row:1:Column:{position + 1}"
        return SoqlError(
            "MALFORMED_QUERY", f"\n{shown}\n{' ' * min(20, position)}^\n{column}\nunexpected token: '{token}'"
        )

    def _peek(self) -> str:
        return self.tokens[self.at][1].upper() if self.at < len(self.tokens) else ""

    def _next(self, *groups: str) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise SoqlError("MALFORMED_QUERY", "unexpected token: '<EOF>'")
        group, token, position = self.tokens[self.at]
        if groups and group not in groups:
            raise self._unexpected(token, position)
        self.at += 1
        return group, token

    def _take(self, *words: str) -> bool:
        """Whether these words come next; goes past them if so."""
        upcoming = [token.upper() for _, token, _ in self.tokens[self.at : self.at + len(words)]]
        if upcoming == list(words):
            self.at += len(words)
            return True
        return False

    def _must(self, *words: str) -> None:
        if not self._take(*words):
            if self.at >= len(self.tokens):
                raise SoqlError("MALFORMED_QUERY", "unexpected token: '<EOF>'")
            _, token, position = self.tokens[self.at]
            raise self._unexpected(token, position)

    def query(self) -> Query:
        self._must("SELECT")
        fields, count, aggregates = self._select()
        self._must("FROM")
        query = Query(fields, self._next("word")[1], count=count, aggregates=aggregates or None)
        if self._take("WHERE"):
            query.where = self._either()
        if self._take("GROUP", "BY"):
            query.days_of = self._day_only()
        if self._take("ORDER", "BY"):
            query.order = self._order()
        if self._take("LIMIT"):
            query.limit = int(self._next("number")[1])
        if self._take("OFFSET"):
            query.offset = int(self._next("number")[1])
            if query.offset > 2000:
                raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        if self.at < len(self.tokens):
            _, token, position = self.tokens[self.at]
            raise self._unexpected(token, position)
        return query

    def _select(self) -> tuple[list[str], bool, list[tuple[str, str, str]]]:
        fields: list[str] = []
        aggregates: list[tuple[str, str, str]] = []
        while True:
            name = self._next("word")[1]
            if self._take("("):
                function = name.upper()
                if function == "COUNT" and self._take(")"):
                    return [], True, []
                field = self._next("word")[1]
                self._must(")")
                if function == "FIELDS":
                    fields.append(f"FIELDS({field.upper()})")
                elif function in AGGREGATES:
                    alias = self._next("word")[1] if self._peek() not in (",", "FROM") else f"expr{len(aggregates)}"
                    aggregates.append((function, field, alias))
                else:
                    raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{name}'")
            else:
                fields.append(name)
            if not self._take(","):
                if fields and aggregates:
                    message = f"Field must be grouped or aggregated: {fields[0]}"
                    raise SoqlError("MALFORMED_QUERY", message)
                return fields, False, aggregates

    def _day_only(self) -> str:
        self._must("DAY_ONLY", "(")
        field = self._next("word")[1]
        self._must(")")
        return field

    def _order(self) -> list[tuple[str, bool]]:
        order = []
        while True:
            field = self._day_only() if self._peek() == "DAY_ONLY" else self._next("word")[1]
            descending = self._take("DESC")
            if not descending:
                self._take("ASC")
            if self._take("NULLS"):
                self._next("word")
            order.append((field, descending))
            if not self._take(","):
                return order

    def _either(self) -> Condition:
        parts = [self._all()]
        while self._take("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Junction("OR", tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Junction("AND", tuple(parts))

    def _one(self) -> Condition:
        if self._take("NOT"):
            return Junction("NOT", (self._one(),))
        if self._take("("):
            inner = self._either()
            self._must(")")
            return inner
        field = self._next("word")[1]
        if self._take("NOT", "IN"):
            return Compare(field, "NOT IN", self._list())
        if self._take("IN"):
            return Compare(field, "IN", self._list())
        if self._take("LIKE"):
            return Compare(field, "LIKE", self._literal())
        operator = self._next("sign")[1].replace("<>", "!=")
        if operator in "(),":
            raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{operator}'")
        return Compare(field, operator, self._literal())

    def _list(self) -> tuple[Value, ...]:
        self._must("(")
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._must(")")
        return tuple(values)

    def _literal(self) -> Value:
        group, token = self._next("string", "moment", "date", "number", "word")
        if group == "string":
            return Value("string", re.sub(r"\\(.)", r"\1", token[1:-1]))
        if group == "moment":
            text = token.replace("Z", "+00:00")
            return Value("moment", wire(datetime.fromisoformat(text)))
        if group == "date":
            return Value("date", token)
        if group == "number":
            return Value("number", float(token))
        if token.upper() in ("TRUE", "FALSE"):
            return Value("boolean", token.upper() == "TRUE")
        if token.upper() == "NULL":
            return Value("null", None)
        raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{token}'")
