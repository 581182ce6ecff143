"""A spec and a captured source schema -> one SQL statement that turns bronze rows into silver rows.

Each record is parsed once. Columns in (the relation `bronze`): source, source_id, raw_data, change_type,
source_modified_at, read_at, sync_batch_id, bronze_file, bronze_row. Columns out: see `silver_columns`.

A row is rejected if a value cannot be read in its type, or breaks a `required` rule or a rule with `reject`; it leaves here with
`validation_status = 'rejected'`, and `make.py` puts it into quarantine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lake_assets.bronze.typed import cast_sql, label_sql, parse_struct, text_sql, typed_sql
from lake_assets.silver.rules import Check, checks_of
from lake_assets.silver.spec import LINEAGE_COLUMNS, PLACEHOLDER, SQL_TYPES, EntitySpec, SilverType, SourceMapping
from resources.connectors.base import Column
from resources.lake import sql_name, sql_text

_FIELD = re.compile(r"(\w+)(?:\.(id|label))?")
CUSTOM_FIELDS = "custom_fields()"
"""The expression for every field that the customer added."""


def silver_columns(spec: EntitySpec) -> dict[str, str]:
    """Name -> DuckDB type of every column of the entity's silver files, in order."""
    head = {
        "tenant_id": "VARCHAR",
        "canonical_id": "VARCHAR",
        "source_refs": 'STRUCT("source" VARCHAR, source_id VARCHAR)[]',
    }
    return {**head, **{name: SQL_TYPES[column.type] for name, column in spec.columns.items()}, **LINEAGE_COLUMNS}


@dataclass(frozen=True)
class CompiledEntity:
    """The statement, and the source fields that the spec reads but the source does not have (they are NULL)."""

    sql: str
    missing_fields: list[str]


@dataclass(frozen=True)
class _Value:
    sql: str
    unreadable: str | None
    """SQL: the source has a value, but not one of this type."""


def compile_entity(
    spec: EntitySpec, mapping: SourceMapping, columns: Mapping[str, Column], tenant: str
) -> CompiledEntity:
    """The statement for one source table of one tenant.

    Parameters:
        columns: the captured source columns by name.
    """
    missing = sorted(field for field in fields_read(mapping) if field not in columns)
    read = {field for field in fields_read(mapping) if field in columns}
    if CUSTOM_FIELDS in mapping.columns.values():
        read |= {name for name, column in columns.items() if column.custom}
    used = [columns[field] for field in sorted(read)]
    values = {name: _value(mapping.columns.get(name), column.type, columns) for name, column in spec.columns.items()}
    checks = [
        Check(f"{name}_type", "reject", value.unreadable, f"{name}: cannot be read as {spec.columns[name].type}", name)
        for name, value in values.items()
        if value.unreadable
    ]
    typed_fields = ",\n           ".join(f"{value.sql} AS {sql_name(name)}" for name, value in values.items())
    flags = ",\n           ".join(
        [f"({check.breaks}) IS TRUE AS _t{i}" for i, check in enumerate(checks)] or ["false AS _t0"]
    )
    rules = checks_of(spec)
    rule_flags = ",\n           ".join(
        [f"({check.breaks}) IS TRUE AS _r{i}" for i, check in enumerate(rules)] or ["false AS _r0"]
    )
    every = [(f"_t{i}", check) for i, check in enumerate(checks)] + [(f"_r{i}", check) for i, check in enumerate(rules)]
    where = f"WHERE change_type = 'delete' OR ({_substitute(mapping.where, columns)}) IS TRUE" if mapping.where else ""
    sql = f"""
    WITH parsed AS (
      SELECT * EXCLUDE (raw_data), {parse_struct(used) if used else "NULL"} AS r FROM bronze
    ), typed AS (
      SELECT * EXCLUDE (r),
           {typed_fields},
           {flags}
      FROM parsed {where}
    ), checked AS (
      SELECT *,
           {rule_flags}
      FROM typed
    )
    SELECT {sql_text(tenant)} AS tenant_id,
           {sql_text(spec.canonical_prefix + "-")} || source_id || '-' || source AS canonical_id,
           [{{'source': source, 'source_id': source_id}}] AS source_refs,
           {", ".join(sql_name(name) for name in spec.columns)},
           source, source_id,
           CASE WHEN change_type = 'delete' THEN 'valid'
                WHEN {_any(flag for flag, check in every if check.severity == "reject")} THEN 'rejected'
                WHEN {_any(flag for flag, check in every if check.severity != "reject")} THEN 'flagged'
                ELSE 'valid' END AS validation_status,
           CASE WHEN change_type <> 'delete' AND ({_any(flag for flag, _ in every)})
                THEN list_filter([{", ".join(f"CASE WHEN {flag} THEN {sql_text(check.message)} END" for flag, check in every)}],
                                 lambda message: message IS NOT NULL)
                ELSE CAST([] AS VARCHAR[]) END AS validation_errors,
           CASE WHEN change_type <> 'delete' THEN {_score(spec, every)} END AS quality_score,
           change_type, source_modified_at, read_at, bronze_file, bronze_row, sync_batch_id
    FROM checked"""
    return CompiledEntity(sql, missing)


def fields_read(mapping: SourceMapping) -> set[str]:
    """The source fields that a mapping reads."""
    fields: set[str] = set()
    for expression in [*mapping.columns.values(), *([mapping.where] if mapping.where else [])]:
        if expression == CUSTOM_FIELDS:
            continue
        if match := _FIELD.fullmatch(expression):
            fields.add(match[1])
        else:
            fields.update(match[1] for match in PLACEHOLDER.finditer(expression))
    return fields


def _value(expression: str | None, kind: SilverType, columns: Mapping[str, Column]) -> _Value:
    sql_type = SQL_TYPES[kind]
    if expression == CUSTOM_FIELDS:
        return _Value(_custom_fields(columns), None)
    match = _FIELD.fullmatch(expression) if expression else None
    if expression is None or (match and match[1] not in columns):
        return _Value(f"CAST(NULL AS {sql_type})", None)
    if match is None:
        text = f"({_substitute(expression, columns)})"
        if kind == "ids" or sql_type == "VARCHAR":
            return _Value(f"CAST({text} AS {sql_type})", None)
    elif kind == "ids":
        ids = f"CAST({typed_sql(columns[match[1]])} AS VARCHAR[])"
        return _Value(ids, f"list_count({ids}) < len({ids})")
    else:
        text = _part_sql(columns[match[1]], match[2])
    if sql_type == "VARCHAR":
        return _Value(text, None)
    cast = f"TRY_CAST({text} AS {sql_type})" if match is None else cast_sql(text, sql_type)
    if kind == "number":
        cast = f"CASE WHEN isfinite({cast}) THEN {cast} END"
    return _Value(cast, f"{text} IS NOT NULL AND {cast} IS NULL")


def _custom_fields(columns: Mapping[str, Column]) -> str:
    """JSON text of name -> value; NULL where there are none. Fields without a value are left out."""
    custom = [column for _, column in sorted(columns.items()) if column.custom]
    if not custom:
        return "CAST(NULL AS VARCHAR)"
    values = ", ".join(f"{sql_text(column.name)}, {typed_sql(column)}" for column in custom)
    # A merge with nothing takes out the members that are null.
    return f"CAST(json_merge_patch('{{}}', json_object({values})) AS VARCHAR)"


def _part_sql(column: Column, part: str | None) -> str:
    """SQL: a field as text, or a reference's id or label. A field that was a reference at some time and something else
    at another holds both kinds of value."""
    if column.type == "reference":
        return label_sql(column) if part == "label" else text_sql(column)
    text = text_sql(column)
    if part and column.type == "text" and column.empty_is_false:
        value = f"r.{sql_name(column.name)}"
        return f"CASE WHEN json_type({value}) = 'ARRAY' THEN {value}->>{1 if part == 'label' else 0} ELSE {text} END"
    return text


def _substitute(expression: str, columns: Mapping[str, Column]) -> str:
    """`expression` with each `{field}` in its `raw.*` type, and `{field.id}`, `{field.label}` as text; a field that the
    source lacks is NULL."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in columns:
            return "NULL"
        column = columns[match[1]]
        return f"({_part_sql(column, match[2]) if match[2] else typed_sql(column)})"

    return PLACEHOLDER.sub(value, expression)


def _any(flags: object) -> str:
    return " OR ".join(flags) or "false"  # type: ignore[arg-type]


def _score(spec: EntitySpec, every: list[tuple[str, Check]]) -> str:
    """The share of scored columns that hold a value which breaks no rule about that column."""
    terms = []
    for name, column in spec.columns.items():
        if column.scored:
            broken = [f"NOT {flag}" for flag, check in every if check.column == name]
            terms.append(f"CAST({' AND '.join([f'{sql_name(name)} IS NOT NULL', *broken])} AS INTEGER)")
    return f"round(({' + '.join(terms)}) / {len(terms)}, 4)" if terms else "CAST(1 AS DOUBLE)"
