"""(c): silver and gold beside statements that were written by hand for the same output."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from bench.harness import DATABASE, TENANT, TODAY, YESTERDAY, Bench, Comparison, Different, median, run_worker, seconds
from bench.lakes import BenchLake, bench_lake

STAMPS = ("run_id", "made_at", "last_aggregated")
"""Columns that say when and by which run a row was made; two runs differ in them."""


def layers_beside_statements(bench: Bench, warm_up: bool = True) -> list[Comparison]:
    """Silver of the day on which all leads were captured; gold of the day after, when 1 % had changed."""
    with bench.sandbox() as sandbox, bench.scratch() as folder:
        lake = bench_lake(folder / "lake", sandbox)
        lake.sync(YESTERDAY)
        changed = sandbox.ids(DATABASE, "crm.lead")[::100]
        sandbox.write(DATABASE, "crm.lead", changed, {"expected_revenue": 12_345.67})
        lake.sync(TODAY)
        folders = {layer: f"{lake.root}/{layer}/tenant_id={TENANT}/" for layer in ("bronze", "silver")}
        folders["bronze"] += "source=odoo/"
        bronze = lake.file(f"bronze/tenant_id={TENANT}/source=odoo/entity=crm_lead/*/*/day={YESTERDAY:%d}/*/*.parquet")
        silver = f"silver/tenant_id={TENANT}/entity=opportunity/*/*/{YESTERDAY}.parquet"
        read = {"bronze": str(bronze), "root": f"{lake.root}/", "tenant": TENANT}
        lines = [_beside(bench, warm_up, lake, folder, ("silver", "opportunity", YESTERDAY), silver, 1.5, read)]
        for mart in ("opportunity", "pipeline_mart"):
            snapshot = f"gold/tenant_id={TENANT}/mart={mart}/date={TODAY}/*.parquet"
            read = {**folders, "day": str(TODAY), "tenant": TENANT}
            lines.append(_beside(bench, warm_up, lake, folder, ("gold", mart, TODAY), snapshot, 1.3, read))
        return lines


def _beside(
    bench: Bench,
    warm_up: bool,
    lake: BenchLake,
    folder: Path,
    made: tuple[str, str, date],
    pattern: str,
    target: float,
    variables: Mapping[str, str],
) -> Comparison:
    layer, name, day = made
    statement_file = folder / f"{layer}_{name}.parquet"

    def ours() -> dict[str, Any]:
        return run_worker("bench.workers.layer", layer, name, str(lake.root), TENANT, str(day))

    def statement() -> dict[str, Any]:
        result = run_worker("bench.baselines.statement", f"{layer}_{name}", str(statement_file), variables)
        _compare(lake.file(pattern), statement_file)
        return result

    results = bench.in_turns({"ours": ours, "statement": statement}, warm_up)
    mine, theirs = median(results["ours"]), median(results["statement"])
    notes = {"rows": results["ours"][0]["rows"], "peak MB": round(median(results["ours"], "peak_bytes") / 1e6)}
    runs = {who: seconds(result) for who, result in results.items()}
    return Comparison("c", f"{layer} {name} / statement by hand", "s", mine, theirs, mine / theirs, target, notes, runs)


def _compare(ours: Path, theirs: Path) -> None:
    with duckdb.connect() as connection:
        sides = [f"FROM read_parquet('{path}', hive_partitioning = false)" for path in (ours, theirs)]
        columns = [row[0] for row in connection.sql(f"DESCRIBE {sides[0]}").fetchall() if row[0] not in STAMPS]
        listed = ", ".join(f'"{name}"' for name in columns)
        sides = [f"SELECT {listed} {side}" for side in sides]
        for one, other in (sides, sides[::-1]):
            extra = connection.sql(f"{one} EXCEPT ALL {other}").fetchall()
            if extra:
                raise Different(f"{ours} and {theirs} differ in {len(extra)} rows, such as {extra[0]}")
