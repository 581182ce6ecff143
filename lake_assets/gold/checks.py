"""Do the files of a mart that were just made hold what a key promises?"""

from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from lake_assets.gold.spec import MartSpec
from resources import layout
from resources.lake import Lake, sql_name


@dataclass(frozen=True)
class MartFindings:
    """Counts of rows, and the first of them."""

    duplicates: int = 0
    missing_keys: int = 0
    duplicate_rows: pa.Table | None = None
    missing_rows: pa.Table | None = None

    def merged(self, other: "MartFindings") -> "MartFindings":
        return MartFindings(
            self.duplicates + other.duplicates,
            self.missing_keys + other.missing_keys,
            other.duplicate_rows if other.duplicates else self.duplicate_rows,
            other.missing_rows if other.missing_keys else self.missing_rows,
        )


def inspect_mart(lake: Lake, spec: MartSpec, tenant: str, dates: list[date]) -> MartFindings:
    """Look at the mart's files of these dates (of a dimension: at its one file). A key may stand once in each snapshot, and once
    at all in a fact or a dimension."""
    paths = {
        "snapshot": [layout.gold_snapshot(tenant, spec.mart, day) for day in dates],
        "fact": [layout.gold_fact(tenant, spec.mart, day) for day in dates],
        "dimension": [layout.gold_dimension(tenant, spec.mart)],
    }[spec.kind]
    paths = [path for path in paths if lake.storage.exists(path)]
    if not paths:
        return MartFindings()
    key = ", ".join(sql_name(name) for name in spec.key)
    missing = " OR ".join(f"{sql_name(name)} IS NULL" for name in spec.key)
    with lake.connection() as connection:
        connection.execute(
            f"CREATE VIEW made AS FROM read_parquet({lake.sql_list(paths)}, filename = true, hive_partitioning = false)"
        )
        each = f"{key}, filename" if spec.kind == "snapshot" else key
        twice = f"SELECT {key}, count(*) AS times FROM made GROUP BY {each} HAVING times > 1"
        duplicates = connection.sql(twice).to_arrow_table()
        without = connection.sql(f"SELECT {key} FROM made WHERE {missing}").to_arrow_table()
    return MartFindings(duplicates.num_rows, without.num_rows, duplicates, without)
