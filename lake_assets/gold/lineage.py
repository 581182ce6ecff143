"""Which silver columns each column of a mart comes from.

Worked out from the marts' own statements by sqlglot, which takes a second and more, so it is done once and kept in
`marts/lineage.json`; a test holds the file against the statements. Write it anew with `python -m lake_assets.gold.lineage`.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from lake_assets.gold.spec import MART_FOLDER, MartSpec, load_marts
from lake_assets.silver.compile import silver_columns
from lake_assets.silver.spec import load_specs

Lineage = dict[str, list[tuple[str, str]]]
"""Column -> (silver entity, its column), sorted."""

LINEAGE_FILE = MART_FOLDER / "lineage.json"


@lru_cache
def load_lineage(file: Path = LINEAGE_FILE) -> dict[str, Lineage]:
    """The kept lineage of every mart."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    return {
        mart: {column: [(entity, name) for entity, name in sources] for column, sources in columns.items()}
        for mart, columns in stored.items()
    }


def compute_lineage(spec: MartSpec) -> Lineage:
    """The lineage of one mart, from its statement."""
    from sqlglot import exp, parse_one
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    columns = {
        entity: {**silver_columns(silver), "first_seen": "TIMESTAMP", "last_updated": "TIMESTAMP"}
        for entity, silver in load_specs().items()
    }
    columns |= {f"{entity}_changes": {**known, "capture_date": "DATE"} for entity, known in columns.items()}
    schema: Any = {"silver": columns, "previous": columns}
    statement = qualify(
        parse_one(spec.sql, dialect="duckdb"), schema=schema, dialect="duckdb", validate_qualify_columns=False
    )
    scope = build_scope(statement)
    found: Lineage = {}
    for column in spec.columns:
        leaves = [
            node
            for node in lineage(column, statement, scope=scope, dialect="duckdb", schema=schema).walk()
            if not node.downstream
        ]
        sources = {
            (leaf.expression.name.removesuffix("_changes"), leaf.name.split(".")[-1].strip('"'))
            for leaf in leaves
            if isinstance(leaf.expression, exp.Table) and leaf.expression.db
        }
        found[column] = sorted(sources)
    return found


def write_lineage() -> None:
    """Work out the lineage of every mart and keep it."""
    lineage = {mart: compute_lineage(spec) for mart, spec in load_marts().items()}
    LINEAGE_FILE.write_text(json.dumps(lineage, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_lineage()
