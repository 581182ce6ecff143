"""A statement of this folder, run by DuckDB as the lake sets it, its rows written to Parquet as the lake writes them."""

import time
from pathlib import Path
from typing import Any

from bench.harness import worker
from lake_assets.silver.formats import email_sql, phone_sql, register_formats
from resources.dagster_lake import memory_resource
from resources.lake import sql_text


def run(name: str, out: str, variables: dict[str, str]) -> dict[str, Any]:
    """`variables` are what the statement's own head lists."""
    statement = (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
    started = time.perf_counter()
    with memory_resource().get_connection() as connection:
        connection.execute(
            "SET TimeZone = 'UTC'; SET preserve_insertion_order = false; SET enable_progress_bar = false"
        )
        register_formats(connection)
        connection.execute(f"CREATE TEMP MACRO is_email(value) AS {email_sql('value')}")
        connection.execute(f"CREATE TEMP MACRO is_phone(value) AS {phone_sql('value', None)}")
        for variable, value in variables.items():
            connection.execute(f"SET VARIABLE {variable} = {sql_text(value)}")
        to = f"{sql_text(out)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
        rows = connection.execute(f"COPY ({statement}) TO {to}").fetchall()[0][0]
    return {"seconds": time.perf_counter() - started, "rows": int(rows)}


if __name__ == "__main__":
    worker(run)
