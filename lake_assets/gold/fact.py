"""Facts: one file a business date, holding the current state.

A fact's rows come in units (a till order with its lines) that are made without looking at other units. A run finds the units
that changed, makes their rows again and puts them into the files of the business dates where they stand now or stood before; rows
of other units stay as they are.
"""

from datetime import date

import duckdb

from lake_assets.gold.inputs import fresh_files, input_versions, silver_days, version_as_of
from lake_assets.gold.spec import Label
from lake_assets.gold.work import MartWork
from lake_assets.silver.spec import load_specs
from lake_assets.silver.views import SilverViews, load_silver
from resources import layout
from resources.lake import sql_name


def make_fact(work: MartWork) -> None:
    """Make the files that a change touches; all of them if the statement or the tenant's timezone changed."""
    spec, tenant = work.spec, work.request.tenant
    consumed = {entity: silver_days(work.lake, tenant, entity) for entity in spec.changed_by}
    if not any(consumed.values()):
        return
    basis = {"spec": spec.fingerprint, "timezone": work.request.timezone}
    everything = bool(work.request.force) or any(work.state.get(name) != value for name, value in basis.items())
    known = {} if everything else work.state["silver"]
    fresh = {entity: fresh_files(days, known.get(entity, {})) for entity, days in consumed.items()}
    labels = _label_versions(work)
    if any(fresh.values()) or labels != work.state.get("labels"):
        with work.connection() as connection:
            _rebuild(work, connection, None if everything else fresh, labels != work.state.get("labels"))
    elif not everything:
        return
    work.state = {**basis, "silver": consumed, "labels": labels}
    work.save_state()


def _label_versions(work: MartWork) -> dict[str, str]:
    """Column -> version of the records whose names it shows."""
    return {
        column: version_as_of(input_versions(work.lake, work.request.tenant, [label.entity], {label.name}), date.max)
        for column, label in work.spec.labels.items()
    }


def _rebuild(
    work: MartWork, connection: duckdb.DuckDBPyConnection, fresh: dict[str, list[str]] | None, labels_moved: bool
) -> None:
    """Make the rows of touched units again and write the files they belong to or belonged to.

    Parameters:
        fresh: silver entity -> bronze files of its records that changed; None for all units.
        labels_moved: names that the fact shows may have changed.
    """
    spec, storage = work.spec, work.lake.storage
    made = storage.files(work.folder, ".parquet")
    connection.execute(f"CREATE VIEW made AS {f'FROM {work.read(made)}' if made else work.empty()}")
    untouched = "false"
    if fresh is not None:
        connection.execute("CREATE TEMP TABLE touched (unit VARCHAR)")
        for entity, files in fresh.items():
            if files:
                _touch_changed(work, connection, entity, files)
        if labels_moved:
            for column, label in spec.labels.items():
                load_silver(connection, work.scope(), [label.entity], {label.name}, f"{column}_now")
                _touch_relabelled(connection, spec.unit, column, label)
        _restrict_to_touched(work, connection)
        untouched = f"{spec.unit} NOT IN (SELECT unit FROM touched)"
    connection.execute(f"CREATE TEMP TABLE rebuilt AS {work.select(spec.sql)}")
    day = sql_name(spec.business_date)
    stood = connection.execute(f"SELECT DISTINCT {day} FROM made WHERE NOT ({untouched})").fetchall()
    stands = connection.execute(f"SELECT DISTINCT {day} FROM rebuilt").fetchall()
    for business_date in sorted({row[0] for row in [*stood, *stands]}):
        path = layout.gold_fact(work.request.tenant, spec.mart, business_date)
        rows = f"SELECT * FROM rebuilt WHERE {day} = DATE '{business_date}'"
        if fresh is not None and storage.exists(path):
            rows += f" UNION ALL BY NAME SELECT * EXCLUDE (run_id, made_at) FROM {work.read([path])} WHERE {untouched}"
        # A date that lost its last row keeps an empty file: removing it would break readers who just found it.
        work.write(connection, rows, path)
        work.outcome.dates.append(business_date)


def _touch_changed(work: MartWork, connection: duckdb.DuckDBPyConnection, entity: str, files: list[str]) -> None:
    """Add the units of every version that a changed record ever had. What changed is read from bronze: silver holds no rejected
    rows."""
    unit = work.spec.changed_by[entity]
    connection.execute(
        f"""
        INSERT INTO touched
        SELECT DISTINCT {unit} FROM silver.{entity}_changes
        SEMI JOIN (SELECT source, source_id
                   FROM read_parquet({work.lake.sql_list(files)}, hive_partitioning = true, hive_types_autocast = false))
        USING (source, source_id) WHERE {unit} IS NOT NULL"""
    )


def _touch_relabelled(connection: duckdb.DuckDBPyConnection, unit: str, column: str, label: Label) -> None:
    """Add the units that show a name which is no longer right."""
    connection.execute(
        f"""
        INSERT INTO touched
        SELECT DISTINCT made.{unit} FROM made JOIN {column}_now.{label.entity} AS named
        ON made.source = named.source AND made.{label.key} = unique_id(named.source_id, named.source)
        WHERE made.{sql_name(column)} <> named.{sql_name(label.name)}"""
    )


def _restrict_to_touched(work: MartWork, connection: duckdb.DuckDBPyConnection) -> None:
    """Let the statement see only records that ever were part of a touched unit."""
    for entity, unit in work.spec.changed_by.items():
        connection.execute(
            f"""
            CREATE TEMP TABLE touched_{entity} AS SELECT DISTINCT source, source_id FROM silver.{entity}_changes
            WHERE {unit} IN (SELECT unit FROM touched)"""
        )
        every_change = SilverViews(work.scope()).changes(load_specs()[entity])
        connection.execute(
            f"""
            CREATE OR REPLACE VIEW silver.{entity}_changes AS
            FROM ({every_change}) SEMI JOIN touched_{entity} USING (source, source_id)"""
        )
