"""What the quality rules found in the days just made: counts and samples, from the files themselves."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

import duckdb
import pyarrow as pa

from lake_assets.silver.make import entity_files, quarantine_part
from lake_assets.silver.rules import checks_of
from lake_assets.silver.spec import EntitySpec
from resources import layout
from resources.lake import Lake, sql_name, sql_text

SAMPLE = 10


@dataclass
class SilverFindings:
    """Counts over the rows of some days. `missing`: captured versions that are neither in silver nor in quarantine
    (nor in another entity of the same table). `samples`: check name -> rows that show what is wrong."""

    rows: int = 0
    rejected: int = 0
    missing: int = 0
    duplicates: int = 0
    score_sum: float = 0.0
    broken_formats: Counter[str] = field(default_factory=Counter)
    broken_business_rules: Counter[str] = field(default_factory=Counter)
    samples: dict[str, pa.Table] = field(default_factory=dict)

    @property
    def quality_score(self) -> float:
        return round(self.score_sum / self.rows, 4) if self.rows else 0.0

    @staticmethod
    def merged(findings: "list[SilverFindings]") -> "SilverFindings":
        total = SilverFindings()
        for part in findings:
            total.rows += part.rows
            total.rejected += part.rejected
            total.missing += part.missing
            total.duplicates += part.duplicates
            total.score_sum += part.score_sum
            total.broken_formats += part.broken_formats
            total.broken_business_rules += part.broken_business_rules
            total.samples = {**part.samples, **total.samples}
        return total


def inspect_days(lake: Lake, tenant: str, spec: EntitySpec, days: list[date]) -> SilverFindings:
    """Look at the entity's silver and quarantine files of these days."""
    findings = SilverFindings()
    paths = [path for day in days if lake.storage.exists(path := layout.silver_day(tenant, spec.entity, day))]
    if not paths:
        return findings
    bronze = [file for day, files in entity_files(lake, tenant, spec).items() if day in days for file in files]
    quarantined = [
        path
        for file in bronze
        if lake.storage.exists(path := layout.quarantine_of(file.path, quarantine_part(spec, file.source_name)))
    ]
    with lake.connection() as connection:
        connection.execute(f"CREATE VIEW made AS FROM read_parquet({lake.sql_list(paths)}, union_by_name = true)")
        one = connection.execute(
            """SELECT count(*), coalesce(sum(quality_score), 0), count(*) - count(DISTINCT (bronze_file, bronze_row)) FROM made"""
        ).fetchall()[0]
        findings.rows, findings.score_sum, findings.duplicates = one
        _count_broken(connection, spec, findings)
        if quarantined:
            connection.execute(
                f"CREATE VIEW rejected AS FROM read_parquet({lake.sql_list(quarantined)}, hive_partitioning = false)"
            )
            findings.rejected = connection.execute("SELECT count(*) FROM rejected").fetchall()[0][0]
            findings.samples["required_rules"] = _sample(
                connection, "SELECT source_id, reasons, raw_data FROM rejected"
            )
        if not any(mapping.where for mapping in spec.sources.values()):
            captured = connection.execute(
                f"SELECT count(*) FROM read_parquet({lake.sql_list([file.path for file in bronze])}, hive_partitioning = false)"
            ).fetchall()[0][0]
            findings.missing = captured - findings.rows - findings.rejected
    return findings


def _count_broken(connection: duckdb.DuckDBPyConnection, spec: EntitySpec, findings: SilverFindings) -> None:
    counts = connection.execute(
        "SELECT error, count(*) FROM (SELECT unnest(validation_errors) AS error FROM made) GROUP BY error"
    ).fetchall()
    messages = {check.message: check for check in checks_of(spec)}
    for message, count in counts:
        check = messages.get(message)
        if check is not None and check.severity != "reject":
            kind = findings.broken_formats if check.severity == "format" else findings.broken_business_rules
            kind[check.name] += count
    for name, severity in (("format_rules", "format"), ("business_rules", "business")):
        rules = [check for check in messages.values() if check.severity == severity]
        if rules:
            texts = ", ".join(sql_text(check.message) for check in rules)
            about = [name for name in spec.columns if name == "name" or name in {check.column for check in rules}]
            shown = ", ".join(["source", "source_id", *map(sql_name, about), "validation_errors"])
            broken = f"SELECT {shown} FROM made WHERE list_has_any(validation_errors, [{texts}])"
            findings.samples[name] = _sample(connection, broken)


def _sample(connection: duckdb.DuckDBPyConnection, select: str) -> pa.Table:
    return connection.sql(f"{select} LIMIT {SAMPLE}").to_arrow_table()
