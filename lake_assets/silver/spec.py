"""The shape of a silver entity's spec, and reading it with errors that name file and line.

One spec drives the columns and their types, the mapping from each source table, the rules, the checks, the views and
the catalog's descriptions. Example: `specs/opportunity.yaml`. Errors name file, line and key: `spec_yaml.py` knows the
lines, `spec_sql.py` tries the SQL.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from lake_assets.silver.spec_sql import SqlCheck
from lake_assets.silver.spec_yaml import Location, SpecFileError, YamlFile

SPEC_FOLDER = Path(__file__).parent / "specs"

SilverType = Literal["text", "id", "ids", "integer", "number", "money", "boolean", "date", "timestamp", "json"]

SQL_TYPES: dict[str, str] = {
    "text": "VARCHAR",
    "id": "VARCHAR",
    "ids": "VARCHAR[]",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "money": "DECIMAL(18,2)",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "json": "VARCHAR",
}


LINEAGE_COLUMNS = {
    "source": "VARCHAR",
    "source_id": "VARCHAR",
    "validation_status": "VARCHAR",
    "validation_errors": "VARCHAR[]",
    "quality_score": "DOUBLE",
    "change_type": "VARCHAR",
    "source_modified_at": "TIMESTAMP",
    "read_at": "TIMESTAMP",
    "bronze_file": "VARCHAR",
    "bronze_row": "BIGINT",
    "sync_batch_id": "VARCHAR",
}
"""Columns after the entity's own in every silver file: where the row comes from and what the rules say of it."""

RESERVED_COLUMNS = {
    "tenant_id",
    "canonical_id",
    "source_refs",
    "first_seen",
    "last_updated",
    "capture_date",
    *LINEAGE_COLUMNS,
}
"""What files and views add; no entity may call a column of its own so."""

PLACEHOLDER = re.compile(r"\{(\w+)(?:\.(id|label))?\}")
"""A field in a source expression, or the id or label of a reference."""


class SpecError(Exception):
    """A spec is wrong; the message begins with file and line."""


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NameReference(_Block):
    """Where a column's current value comes from: a renamed stage shows although the record was not read again.

    `table`: a bronze table (`odoo.crm_stage`, or one a source type: `odoo.crm_stage|pipedrive.stages`) or silver entities
    (`silver.account|silver.contact`); `key`:
    the column of this entity that holds the related record's id; `name`: the column (or source field) of the related
    record. A column of a silver entity may be a reference itself; it is followed.
    """

    table: str
    key: str
    name: str

    @field_validator("table")
    @classmethod
    def _known_form(cls, table: str) -> str:
        if not re.fullmatch(r"(silver\.\w+)(\|silver\.\w+)*|(?!silver\.)\w+\.\w+(\|(?!silver\.)\w+\.\w+)*", table):
            raise ValueError("expected `<source type>.<table>` or `silver.<entity>|silver.<entity>`")
        return table

    @property
    def bronze_tables(self) -> list[tuple[str, str]]:
        """(source type, table) of each bronze table of `table`; none for silver entities."""
        if self.table.startswith("silver."):
            return []
        return [(name.split(".")[0], name.split(".")[1]) for name in self.table.split("|")]

    @property
    def entities(self) -> list[str]:
        """The silver entities of `table`; none for a bronze table."""
        return self.table.replace("silver.", "").split("|") if self.table.startswith("silver.") else []


class ColumnSpec(_Block):
    """One column of the entity. `scored` columns count towards the quality score."""

    type: SilverType = "text"
    description: str
    scored: bool = False
    reference: NameReference | None = None


class SourceMapping(_Block):
    """How one source table becomes this entity.

    `columns`: entity column -> source expression: a field (`name`), a reference's id or label (`partner_id.id`,
    `partner_id.label`), a text in single quotes (`'USD'`), `custom_fields()` (every field that the customer added, as one
    JSON object by their readable names), or SQL over fields in braces
    (`coalesce({email_normalized}, {email_from})`; a field there has its `raw.*` type, `{partner_id.id}` and
    `{partner_id.label}` are text). `where`: SQL over fields in braces; other records belong to another entity.
    """

    columns: dict[str, str]
    where: str | None = None


class RequiredRule(_Block):
    """Without this column the record is rejected."""

    required: str


class EmailRule(_Block):
    """The column holds an e-mail address."""

    email: str


class PhoneRule(_Block):
    """The column holds a telephone number. `country`: the column with its ISO 3166 alpha-2 code, for numbers without a prefix."""

    phone: str
    country: str | None = None


class RangeRule(_Block):
    """The column lies between `min` and `max`, both included."""

    range: str
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> "RangeRule":
        if self.min is None and self.max is None:
            raise ValueError("a range needs min, max or both")
        return self


class OneOfRule(_Block):
    """The column holds one of these values."""

    one_of: str
    values: list[str]


class BusinessRule(_Block):
    """`sql` over the entity's columns holds (NULL counts as holding). `reject: true` quarantines what breaks it."""

    check: str
    sql: str
    message: str
    reject: bool = False


_RULE_KINDS = ("required", "email", "phone", "range", "one_of", "check")


def _rule_kind(rule: Any) -> str | None:
    if isinstance(rule, _Block):
        return next(kind for kind in _RULE_KINDS if kind in rule.__class__.model_fields)
    return next((kind for kind in _RULE_KINDS if kind in rule), None) if isinstance(rule, dict) else None


Rule = Annotated[
    Annotated[RequiredRule, Tag("required")]
    | Annotated[EmailRule, Tag("email")]
    | Annotated[PhoneRule, Tag("phone")]
    | Annotated[RangeRule, Tag("range")]
    | Annotated[OneOfRule, Tag("one_of")]
    | Annotated[BusinessRule, Tag("check")],
    Discriminator(
        _rule_kind,
        custom_error_type="unknown_rule",
        custom_error_message="not a rule: expected one of the keys required, email, phone, range, one_of, check",
    ),
]


class EntitySpec(_Block):
    """One silver entity."""

    entity: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str
    canonical_prefix: str = Field(pattern=r"^[a-z][a-z0-9]*$")
    columns: dict[str, ColumnSpec]
    sources: dict[str, SourceMapping]
    rules: Annotated[list[Rule], Field(default_factory=list)]

    @field_validator("sources")
    @classmethod
    def _source_form(cls, sources: dict[str, SourceMapping]) -> dict[str, SourceMapping]:
        for name in sources:
            if not re.fullmatch(r"\w+\.\w+", name):
                raise ValueError(f"{name!r}: expected `<source type>.<table>`, e.g. odoo.crm_lead")
        return sources

    @model_validator(mode="after")
    def _names_exist(self) -> "EntitySpec":
        for name in self.columns:
            if name in RESERVED_COLUMNS:
                raise ValueError(f"columns.{name}: every entity has a column of this name already")
        for source, mapping in self.sources.items():
            for column in mapping.columns:
                if column not in self.columns:
                    raise ValueError(f"sources.{source}.columns.{column}: the entity has no such column")
        for name, column in self.columns.items():
            if column.reference and column.reference.key not in self.columns:
                raise ValueError(f"columns.{name}.reference.key: the entity has no column {column.reference.key!r}")
        for number, rule in enumerate(self.rules):
            for column in rule_columns(rule):
                if column not in self.columns:
                    raise ValueError(f"rules.{number}: the entity has no column {column!r}")
        return self

    @property
    def tables(self) -> list[tuple[str, str]]:
        """(source type, table) of each bronze table it is made from."""
        return [(name.split(".")[0], name.split(".")[1]) for name in self.sources]

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes the rows."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def rule_columns(rule: Rule) -> list[str]:
    """The columns a rule names directly."""
    if isinstance(rule, RequiredRule):
        return [rule.required]
    if isinstance(rule, EmailRule):
        return [rule.email]
    if isinstance(rule, PhoneRule):
        return [rule.phone, *([rule.country] if rule.country else [])]
    if isinstance(rule, RangeRule):
        return [rule.range]
    if isinstance(rule, OneOfRule):
        return [rule.one_of]
    return []


@lru_cache
def load_specs(folder: Path = SPEC_FOLDER) -> dict[str, EntitySpec]:
    """Every entity's spec, by name.

    Raises:
        SpecError: a file is not YAML or not a spec, or specs do not fit together.
    """
    loaded = _load(sorted(folder.glob("*.yaml")))
    by_name = {spec.entity: spec for _, spec in loaded}
    mistakes = [
        text.located(text.location_of(path), message)
        for number, (text, spec) in enumerate(loaded)
        for path, message in _misfits(spec, [other for _, other in loaded[:number]], by_name)
    ]
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return by_name


def load_spec(file: Path) -> EntitySpec:
    """One entity's spec.

    Raises:
        SpecError: with file, line, key and what is expected there.
    """
    return _load([file])[0][1]


def _load(files: list[Path]) -> list[tuple[YamlFile, EntitySpec]]:
    with SqlCheck() as sql:
        return [_load_file(file, sql) for file in files]


def _load_file(file: Path, sql: SqlCheck) -> tuple[YamlFile, EntitySpec]:
    try:
        text = YamlFile(file)
    except SpecFileError as error:
        raise SpecError(str(error)) from None
    try:
        spec = EntitySpec.model_validate(text.value)
    except ValidationError as error:
        lines = [_explain(text, item) for item in error.errors(include_url=False, include_input=False)]
        raise SpecError("\n".join(dict.fromkeys(lines))) from None
    if mistakes := _sql_mistakes(spec, sql):
        raise SpecError("\n".join(text.located(location, message) for location, message in mistakes))
    return text, spec


def _misfits(spec: EntitySpec, earlier: list[EntitySpec], by_name: dict[str, EntitySpec]) -> list[tuple[str, str]]:
    """(key, message) of what does not fit the other specs."""
    found = [("entity", f"{spec.entity} is defined twice") for other in earlier if other.entity == spec.entity]
    found += [
        ("canonical_prefix", f"{other.entity} has this prefix already")
        for other in earlier
        if other.canonical_prefix == spec.canonical_prefix
    ]
    for name, column in spec.columns.items():
        for entity in column.reference.entities if column.reference else []:
            assert column.reference
            if entity not in by_name:
                found.append((f"columns.{name}.reference.table", f"there is no entity {entity!r}"))
            elif column.reference.name not in {*by_name[entity].columns, *RESERVED_COLUMNS}:
                found.append((f"columns.{name}.reference.name", f"{entity} has no column {column.reference.name!r}"))
            elif _refers_to_itself(by_name, spec.entity, name):
                found.append((f"columns.{name}.reference", "the references go round in a circle"))
    return found


def _refers_to_itself(by_name: dict[str, EntitySpec], entity: str, column: str) -> bool:
    reached: set[tuple[str, str]] = set()
    ahead = [(entity, column)]
    while ahead:
        here, name = ahead.pop()
        reference = by_name[here].columns[name].reference if here in by_name and name in by_name[here].columns else None
        for target in reference.entities if reference else []:
            assert reference
            if (target, reference.name) == (entity, column):
                return True
            if (target, reference.name) not in reached:
                reached.add((target, reference.name))
                ahead.append((target, reference.name))
    return False


def _sql_mistakes(spec: EntitySpec, sql: SqlCheck) -> list[tuple[Location, str]]:
    """(location, message) of SQL that does not parse, and of rules over columns that are not there."""
    known = {**LINEAGE_COLUMNS, **{name: SQL_TYPES[column.type] for name, column in spec.columns.items()}}
    rules: dict[Location, str] = {
        ("rules", number, "sql"): rule.sql for number, rule in enumerate(spec.rules) if isinstance(rule, BusinessRule)
    }
    expressions: dict[Location, str] = {}
    for source, mapping in spec.sources.items():
        if mapping.where:
            expressions["sources", source, "where"] = mapping.where
        for name, expression in mapping.columns.items():
            expressions["sources", source, "columns", name] = expression
    return sql.unfit(rules, known) + sql.unparsable(
        {at: PLACEHOLDER.sub("NULL", text) for at, text in expressions.items()}
    )


def _explain(text: YamlFile, item: Any) -> str:
    location: Location = item["loc"]
    if location[:1] == ("rules",):  # after the rule's number pydantic puts its kind, which is no level of the file
        location = (*location[:2], *location[3:])
    message = str(item["msg"]).removeprefix("Value error, ")
    if not location and (
        match := re.match(r"([\w.]+): ", message)
    ):  # a check across blocks names its key in the message
        location = text.location_of(match[1])
    return text.located(location, message)
