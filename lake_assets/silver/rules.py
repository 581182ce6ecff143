"""What each rule of a spec means in SQL: a condition that a bad row meets, and the words for it."""

from dataclasses import dataclass
from typing import Literal

from lake_assets.silver.formats import email_sql, phone_sql
from lake_assets.silver.spec import (
    BusinessRule,
    ColumnSpec,
    EmailRule,
    EntitySpec,
    OneOfRule,
    PhoneRule,
    RangeRule,
    RequiredRule,
    Rule,
)
from resources.lake import sql_name, sql_text

Severity = Literal["reject", "format", "business"]


@dataclass(frozen=True)
class Check:
    """One compiled rule.

    `breaks`: SQL over the entity's columns, true for a row that breaks it. `message`: what `validation_errors` then says.
    `severity`: reject quarantines the row; format and business flag it.
    """

    name: str
    severity: Severity
    breaks: str
    message: str
    column: str | None = None


def checks_of(spec: EntitySpec) -> list[Check]:
    """Every rule of `spec`, compiled, in the spec's order."""
    return [_check(rule, spec.columns) for rule in spec.rules]


def _check(rule: Rule, columns: dict[str, ColumnSpec]) -> Check:
    if isinstance(rule, RequiredRule):
        column = sql_name(rule.required)
        missing = f"{column} IS NULL"
        if columns[rule.required].type == "text":
            missing = f"({missing} OR trim({column}, E' \\t\\r\\n') = '')"
        return Check(
            f"{rule.required}_required", "reject", missing, f"{rule.required}: required and missing", rule.required
        )
    if isinstance(rule, EmailRule):
        column = sql_name(rule.email)
        breaks = f"{column} IS NOT NULL AND NOT {email_sql(column)}"
        return Check(f"{rule.email}_format", "format", breaks, f"{rule.email}: not an e-mail address", rule.email)
    if isinstance(rule, PhoneRule):
        column = sql_name(rule.phone)
        breaks = f"{column} IS NOT NULL AND NOT {phone_sql(column, sql_name(rule.country) if rule.country else None)}"
        return Check(f"{rule.phone}_format", "format", breaks, f"{rule.phone}: not a telephone number", rule.phone)
    if isinstance(rule, RangeRule):
        column = sql_name(rule.range)
        outside = [f"{column} < {rule.min}"] if rule.min is not None else []
        outside += [f"{column} > {rule.max}"] if rule.max is not None else []
        limits = f"{'' if rule.min is None else f'{rule.min:g}'}..{'' if rule.max is None else f'{rule.max:g}'}"
        return Check(
            f"{rule.range}_range", "format", " OR ".join(outside), f"{rule.range}: outside {limits}", rule.range
        )
    if isinstance(rule, OneOfRule):
        column = sql_name(rule.one_of)
        allowed = ", ".join(sql_text(value) for value in rule.values)
        breaks = f"{column} IS NOT NULL AND {column} NOT IN ({allowed})"
        return Check(
            f"{rule.one_of}_values", "format", breaks, f"{rule.one_of}: none of {', '.join(rule.values)}", rule.one_of
        )
    assert isinstance(rule, BusinessRule)
    severity: Severity = "reject" if rule.reject else "business"
    return Check(rule.check, severity, f"NOT coalesce(({rule.sql}), true)", f"{rule.check}: {rule.message}")
