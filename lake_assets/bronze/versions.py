"""What the lake already holds of one source table: the latest version of each record, and which captured rows are new.

`latest` is by the time the read began, not by the source's own time: a record that vanishes by access rules and comes back
unchanged must win over its tombstone.
"""

from contextlib import ExitStack
from functools import cached_property

import duckdb
import pyarrow as pa

from lake_assets.bronze.typed import cast_sql
from resources.lake import BRONZE_SCHEMA, Lake

LATEST_SQL = """
    WITH stored AS MATERIALIZED (
        SELECT source_id, checksum, change_type, source_modified_at, read_at, filename, file_row_number
        FROM read_parquet({files}, filename = true, file_row_number = true, hive_partitioning = false) {where}),
    grouped AS (
        SELECT source_id, count(*) AS versions, any_value(checksum) AS checksum, any_value(change_type) AS change_type,
               any_value(source_modified_at) AS source_modified_at
        FROM stored GROUP BY source_id)
    SELECT * EXCLUDE (versions) FROM grouped WHERE versions = 1
    UNION ALL
    SELECT source_id, arg_max(checksum, (read_at, filename, file_row_number)) AS checksum,
           arg_max(change_type, (read_at, filename, file_row_number)) AS change_type,
           arg_max_null(source_modified_at, (read_at, filename, file_row_number)) AS source_modified_at
    FROM stored SEMI JOIN (SELECT source_id FROM grouped WHERE versions > 1) USING (source_id)
    GROUP BY source_id
"""
"""Most records have one version, and picking the latest of several costs ten times as much."""

MODIFIED_SQL = cast_sql("modified", "TIMESTAMP")

LOOKUPS = 5
"""So many batches are looked up by their ids before the whole table's latest state is loaded."""


class KnownVersions:
    """The latest version of each record in these bronze files, held in DuckDB's memory until the block that it is used in ends.

    A sync that finds nothing opens no DuckDB, and one of few changes looks up just those ids; only when more batches arrive is
    the whole table's latest state loaded.
    """

    def __init__(self, lake: Lake, files: list[str]) -> None:
        self._lake = lake
        self._files = files
        self._batches = 0
        self._opened = ExitStack()

    def __enter__(self) -> "KnownVersions":
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened.close()

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = self._opened.enter_context(self._lake.connection())
        connection.execute(
            "CREATE TABLE known (source_id VARCHAR, checksum VARCHAR, change_type VARCHAR, source_modified_at TIMESTAMP)"
        )
        return connection

    def load_all(self) -> None:
        """Load the latest version of every record."""
        added = "SELECT * FROM known WHERE false"
        if self._files:
            added = LATEST_SQL.format(files=self._lake.sql_list(self._files), where="")
        self._connection.execute(
            f"CREATE OR REPLACE TABLE known AS SELECT * FROM known UNION ALL "
            f"(SELECT * FROM ({added}) AS stored WHERE NOT EXISTS (FROM known WHERE known.source_id = stored.source_id))"
        )
        self._files = []

    def new_rows(self, page: pa.Table, run_id: str) -> tuple[pa.Table, int]:
        """The rows of `page` that differ from the latest version, as bronze rows, and how many of them are records the lake
        did not hold (so that the table's row count can be kept without counting).

        Parameters:
            page: a table of `rows.CAPTURED`, each record once.
            run_id: goes into `sync_batch_id`.
        """
        self._batches += 1
        connection = self._connection
        # Without the records' text: it would be copied through every step.
        places = pa.array(range(page.num_rows), pa.int32())
        connection.register("page", page.drop_columns(["raw_data"]).append_column("place", places))
        if self._files and self._batches <= LOOKUPS:
            lookup = LATEST_SQL.format(
                files=self._lake.sql_list(self._files),
                where="WHERE source_id IN (SELECT source_id FROM page ANTI JOIN known USING (source_id))",
            )
            connection.execute(f"INSERT INTO known {lookup}")
        elif self._files:
            self.load_all()
        fresh = connection.sql(
            f"""
            SELECT place, CAST(uuid() AS VARCHAR) AS id, {MODIFIED_SQL} AS source_modified_at,
                   CAST(current_timestamp AS TIMESTAMP) AS ingested_at, known.source_id IS NOT NULL AS is_known,
                   coalesce(known.change_type, 'delete') = 'delete' AS is_unheld
            FROM page LEFT JOIN known USING (source_id)
            WHERE known.source_id IS NULL OR known.checksum <> page.checksum OR known.change_type <> page.change_type
            ORDER BY place
            """
        ).to_arrow_table()
        connection.unregister("page")
        rows = page if fresh.num_rows == page.num_rows else page.take(fresh["place"])
        rows = _bronze(rows, fresh, run_id)
        self._remember(rows, replaces=any(fresh["is_known"].to_pylist()))
        return rows, sum(fresh["is_unheld"].to_pylist())

    def first_rows(self, page: pa.Table, run_id: str) -> pa.Table:
        """All of `page` as bronze rows, neither compared nor remembered."""
        places = pa.array(range(page.num_rows), pa.int32())
        self._connection.register("page", page.select(["modified"]).append_column("place", places))
        added = self._connection.sql(
            f"""SELECT CAST(uuid() AS VARCHAR) AS id, {MODIFIED_SQL} AS source_modified_at,
                      CAST(current_timestamp AS TIMESTAMP) AS ingested_at FROM page ORDER BY place"""
        ).to_arrow_table()
        self._connection.unregister("page")
        return _bronze(page, added, run_id)

    def _remember(self, rows: pa.Table, replaces: bool) -> None:
        if rows.num_rows:
            self._connection.register(
                "fresh", rows.select(["source_id", "checksum", "change_type", "source_modified_at"])
            )
            if replaces:
                self._connection.execute("DELETE FROM known WHERE source_id IN (SELECT source_id FROM fresh)")
            self._connection.execute("INSERT INTO known FROM fresh")
            self._connection.unregister("fresh")

    def gone(self, at_source: pa.Table) -> tuple[list[str], int]:
        """Ids that the lake holds and that are not in `at_source.source_id`, and how many the lake holds."""
        self.load_all()
        self._connection.register("at_source", at_source)
        query = self._connection.execute
        gone = query("SELECT source_id FROM known ANTI JOIN at_source USING (source_id) WHERE change_type <> 'delete'")
        gone_ids = sorted(row[0] for row in gone.fetchall())
        held = query("SELECT count(*) FROM known WHERE change_type <> 'delete'").fetchall()[0][0]
        self._connection.unregister("at_source")
        return gone_ids, held

    def compare_ids(self, at_source: pa.Table) -> tuple[list[str], list[str], int]:
        """Hold the source's full list of records against the lake's.

        Parameters:
            at_source: `source_id` and `modified`, the modification time as the source writes it.

        Returns:
            Ids that the lake holds and the source no longer has; ids that the source has and the lake lacks, holds as
            deleted, or holds with another modification time (it changed while access rights hid it, say); how many
            the lake holds.
        """
        gone_ids, held = self.gone(at_source)
        self._connection.register("at_source", at_source)
        stray = self._connection.execute(
            f"""SELECT source_id FROM at_source ANTI JOIN known
               ON known.source_id = at_source.source_id AND known.change_type <> 'delete'
                  AND known.source_modified_at IS NOT DISTINCT FROM {MODIFIED_SQL}"""
        )
        stray_ids = sorted(row[0] for row in stray.fetchall())
        self._connection.unregister("at_source")
        return gone_ids, stray_ids, held


class KnownMoments:
    """When the lake's latest version of each record was modified: which of the records that a source lists are to be read.

    A connection of its own, because a thread asks while another compares rows.
    """

    def __init__(self, lake: Lake, files: list[str]) -> None:
        self._opened = ExitStack()
        self._lake, self._files = lake, files

    def __enter__(self) -> "KnownMoments":
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened.close()

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = self._opened.enter_context(self._lake.connection())
        latest = LATEST_SQL.format(files=self._lake.sql_list(self._files), where="")
        connection.execute(
            f"CREATE TABLE held AS SELECT source_id, source_modified_at FROM ({latest}) WHERE change_type <> 'delete'"
        )
        return connection

    def moved(self, listed: list[tuple[str, str | None]]) -> list[str]:
        """The ids of those that the lake does not hold, or with another modification time than the one listed; and of those
        listed without a time."""
        if not self._files:
            return [source_id for source_id, _ in listed]
        ids, modified = ([entry[part] for entry in listed] for part in (0, 1))
        table = pa.table({"source_id": pa.array(ids, pa.string()), "modified": pa.array(modified, pa.string())})
        self._connection.register("listed", table.append_column("place", pa.array(range(len(ids)), pa.int32())))
        rows = self._connection.execute(
            f"""SELECT source_id FROM listed ANTI JOIN held
               ON held.source_id = listed.source_id AND held.source_modified_at = {MODIFIED_SQL}
               ORDER BY place"""
        ).fetchall()
        self._connection.unregister("listed")
        return [row[0] for row in rows]


def _bronze(captured: pa.Table, added: pa.Table, run_id: str) -> pa.Table:
    """Captured rows with what the lake adds to them."""
    for name in ("id", "source_modified_at", "ingested_at"):
        captured = captured.append_column(name, added[name])
    captured = captured.append_column("sync_batch_id", pa.repeat(pa.scalar(run_id), captured.num_rows))
    return captured.select(BRONZE_SCHEMA.names).cast(BRONZE_SCHEMA)
