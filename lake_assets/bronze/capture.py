"""One table of one source, from its connector to its bronze file.

    connector pages  ->  rows with checksums  ->  only what is new  ->  one Parquet file  ->  schema, watermark
    (a thread)           (this thread)            (a thread, DuckDB)    (the same)

The file is published before the schema and the watermark move: a crash between them reads the same changes again and finds
them known. A sync that ends with the day's budget is published too, and notes what it left.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import duckdb
import pyarrow as pa

from lake_assets.bronze.asking import Asking, held, prefetched
from lake_assets.bronze.intake import Intake
from lake_assets.bronze.rows import encode_records, tombstones
from lake_assets.bronze.state import (
    PARTIAL,
    SchemaChange,
    TableState,
    capture_schema,
    counted,
    load_state,
    save_state,
    schema_changes,
)
from lake_assets.bronze.versions import KnownMoments, KnownVersions
from lake_assets.bronze.window import next_watermark, window_of
from resources import layout
from resources.connectors.base import (
    BudgetSpent,
    Connector,
    MissingAtSource,
    NotPermitted,
    Page,
    SourceError,
    TableSchema,
    TransientError,
    Window,
)
from resources.lake import BRONZE_SCHEMA, Lake
from resources.storage import ParquetUnit

log = logging.getLogger(__name__)

PREFETCHED_PAGES = 2

DISTINCT_COLUMNS = ("id", "source_id", "raw_data", "checksum")


@dataclass(frozen=True)
class SyncRequest:
    """What a sync was asked to do.

    `run_id` names the file and goes into every row. `full` reads everything again, `sweep` compares id lists,
    `confirm_deletes` lets it delete as much as it finds gone. `ids`: table -> read just these records, and note those that are
    gone (what a webhook told of). `overlap`, `thrifty`: see `window.window_of`.
    """

    tenant: str
    source: str
    day: date
    run_id: str
    overlap: timedelta = timedelta(minutes=10)
    full: bool = False
    sweep: bool = False
    confirm_deletes: bool = False
    ids: Mapping[str, tuple[str, ...]] | None = None
    thrifty: bool = False


@dataclass
class TableOutcome:
    """What became of one table in one sync.

    `status`: ok, unchanged, failed, not_configured, not_permitted or missing_at_source. Counts are rows;
    `held_deletes` were found gone but not deleted; `retry`: the failure may pass by itself; `recovered`: the previous
    sync had something to say about it; `previous_rows` and `rows` are the records in the lake before and after;
    `resumes_at`: the day's budget ended, the sync goes on then.
    """

    table: str
    status: str = "unchanged"
    message: str = ""
    rows_read: int = 0
    rows_written: int = 0
    rows_deleted: int = 0
    held_deletes: int = 0
    previous_rows: int = 0
    rows: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    file: str | None = None
    recovered: bool = False
    retry: bool = False
    schema_changes: list[SchemaChange] = field(default_factory=list)
    schema: TableSchema | None = None
    resumes_at: datetime | None = None
    read_in_full: bool = False
    """Because the source has new fields."""

    @property
    def failed(self) -> bool:
        return self.status == "failed"

    @property
    def complete(self) -> bool:
        """All that was asked for was read."""
        return not self.failed and self.resumes_at is None


def capture_table(
    lake: Lake,
    connector: Connector,
    table: str,
    request: SyncRequest,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> TableOutcome:
    """Read what is new in `table` and write it as one bronze file.

    Does not raise for what goes wrong at the source or with the disk: the outcome says `failed` and why, so that other tables go
    on. Nothing of a table that failed is written, and its watermark stays.

    Parameters:
        on_rows: called with the number of rows read so far added, for progress.

    Raises:
        OSError: the lake takes not even the note that the table failed.
    """
    outcome = TableOutcome(table)
    started = time.monotonic()
    where = f"{request.tenant}/{request.source}/{table}"
    try:
        state = load_state(lake, request.tenant, request.source, table)
    except duckdb.Error as error:
        outcome.status = "failed"
        outcome.message = f"{where}: its state is lost and cannot be rebuilt, because bronze cannot be read: {error}"
        _remember_failure(lake, request, table, TableState(), outcome)
        return outcome
    outcome.previous_rows = outcome.rows = state.rows
    outcome.recovered = state.status not in ("ok", "unchanged") or bool(state.message)
    try:
        schema = connector.schema(table)
        outcome.schema = schema
        outcome.schema_changes = schema_changes(lake, request.tenant, request.source, schema)
        gained = [change.column for change in outcome.schema_changes if change.kind == "added"]
        if not schema.filled_silently:
            gained = []
        if gained:
            log.warning("%s gained %s: reading the table in full", where, ", ".join(gained))
        outcome.read_in_full = bool(gained) and request.ids is None
        begin = replace(state, watermark=None, cursor=None) if outcome.read_in_full else state
        after = _capture(lake, connector, schema, request, begin, outcome, on_rows)
        # After the file: if we crash in between, the change is seen once more.
        if request.ids is None or not outcome.schema_changes:
            capture_schema(lake, request.tenant, request.source, schema)
        save_state(lake, request.tenant, request.source, table, after)
    except BudgetSpent as stop:
        outcome.message, outcome.resumes_at = _pause(stop, request), stop.resumes_at
        if request.ids is None:
            save_state(lake, request.tenant, request.source, table, _paused(state, outcome, request))
    except MissingAtSource as error:
        outcome.status, outcome.message = "missing_at_source", str(error)
    except NotPermitted as error:
        outcome.status, outcome.message = "not_permitted", str(error)
    except SourceError as error:
        outcome.status, outcome.message = "failed", str(error)
        outcome.retry = isinstance(error, TransientError)
    except OSError as error:
        outcome.retry = True
        outcome.status, outcome.message = "failed", f"{where}: the lake could not be written: {error.strerror or error}"
    except Exception as error:
        log.exception("%s: unexpected", where)
        outcome.status, outcome.message = "failed", f"{where}: {type(error).__name__}: {error}"
    if outcome.status in ("failed", "missing_at_source", "not_permitted") and request.ids is None:
        _remember_failure(lake, request, table, state, outcome)
    outcome.seconds = time.monotonic() - started
    return outcome


def _remember_failure(lake: Lake, request: SyncRequest, table: str, state: TableState, outcome: TableOutcome) -> None:
    try:
        save_state(
            lake,
            request.tenant,
            request.source,
            table,
            state.with_failure(outcome.status, outcome.message, outcome.retry, request.run_id),
        )
    except OSError as error:
        # Whoever reports on the sync reads these notes; a failure that cannot be noted must not look like a success.
        raise OSError(f"{outcome.message} (and no note of it could be left in the lake: {error})") from error


def _pause(stop: BudgetSpent, request: SyncRequest) -> str:
    again = " (as an ordinary one: ask for --sweep again then)" if request.sweep else ""
    return f"{stop}; what was read is kept, the sync goes on at {stop.resumes_at:%Y-%m-%d %H:%M} UTC{again}"


def _paused(state: TableState, outcome: TableOutcome, request: SyncRequest) -> TableState:
    return replace(
        state,
        status=outcome.status,
        message=outcome.message,
        resumes_at=outcome.resumes_at,
        failures=0,
        retry=False,
        run_id=request.run_id,
    )


def _capture(
    lake: Lake,
    connector: Connector,
    schema: TableSchema,
    request: SyncRequest,
    state: TableState,
    outcome: TableOutcome,
    on_rows: Callable[[int], None],
) -> TableState:
    server_time = connector.server_time()
    window = _window(request, state)
    path = _unit_path(lake, request, schema.table)
    files = lake.bronze_files(request.tenant, request.source, schema.table)
    state = counted(lake, state, files)
    outcome.previous_rows = outcome.rows = state.rows
    clock = _ReadClock(state.last_read_at)
    cursor = state.cursor
    stop: BudgetSpent | None = None
    asked_for = None if request.ids is None else request.ids.get(schema.table, ())
    first = not files and not request.sweep and asked_for is None

    with (
        KnownVersions(lake, files) as known,
        KnownMoments(lake, [] if request.full else files) as moments,
        ParquetUnit(lake.storage, path, BRONZE_SCHEMA, distinct=DISTINCT_COLUMNS) as unit,
        Intake(known, unit, request.run_id) as intake,
    ):
        asking = Asking(connector, schema, moments, asked_for)

        def take(page: Page) -> None:
            nonlocal cursor
            read_at = clock.at(page.read_at)
            captured = encode_records(page.records, schema, read_at)
            asking.note(captured, page.refused_ids)
            deleted = [str(record_id) for record_id in page.deleted_ids]
            if deleted:
                captured = pa.concat_tables([captured, tombstones(deleted, schema, read_at)])
            intake.add(captured, all_new=page.distinct and first and not deleted)
            cursor = page.cursor or cursor
            outcome.rows_read += captured.num_rows
            on_rows(captured.num_rows)

        try:
            for page in prefetched(asking.pages(window), PREFETCHED_PAGES):
                take(page)
            gone = asking.gone(intake.settle, request.sweep, take)
            outcome.held_deletes = held(gone, request.confirm_deletes)
            if gone.ids and not outcome.held_deletes:
                intake.add(tombstones(gone.ids, schema, clock.at(datetime.now(UTC))))
        except BudgetSpent as spent:
            stop = spent
        intake.settle()
        outcome.rows_deleted = intake.deleted
        rows = state.rows + intake.added - intake.deleted
        # What was read only in part proves nothing of the rest (see `state.rebuild_state`).
        if unit.commit({PARTIAL: "true"} if stop is not None or asked_for is not None else None):
            outcome.status, outcome.file = "ok", path
            outcome.rows_written, outcome.bytes_written = unit.rows, lake.storage.size(path)
    outcome.rows = rows
    if outcome.held_deletes:
        outcome.message = (
            f"the sweep found {outcome.held_deletes} of {rows} records gone and deleted none: if that is right, run "
            f"`lake sync --tenant {request.tenant} --source {request.source} --tables {schema.table} --sweep --confirm-deletes`"
        )
    files_now = len(files) + (outcome.file is not None)
    state = replace(state, last_read_at=clock.last, rows=rows, files=files_now)
    if stop is not None:
        outcome.message, outcome.resumes_at = _pause(stop, request), stop.resumes_at
    if asked_for is not None:
        # Some records were read, whatever became of them: that says nothing of the table.
        return state
    state = replace(state, cursor=cursor)
    if stop is not None:
        if stop.rest is not None and (window.rest or state.rest is None):
            state = replace(state, rest=stop.rest, watermark=next_watermark(request.day, state.watermark, server_time))
        return _paused(state, outcome, request)
    now = datetime.now(UTC)
    rest = None if window.rest or request.full else state.rest  # a past day leaves what is not of it
    return replace(
        state,
        watermark=next_watermark(request.day, state.watermark, server_time),
        rest=rest,
        resumes_at=state.resumes_at if rest else None,
        status=outcome.status,
        message=outcome.message,
        failures=0,
        retry=False,
        run_id=request.run_id,
        last_sync_at=now,
        last_sweep_at=now if request.sweep or schema.whole else state.last_sweep_at,
    )


def _window(request: SyncRequest, state: TableState) -> Window:
    today = datetime.now(UTC).date()
    if request.full:
        return window_of(request.day, today, None, request.overlap)
    return window_of(request.day, today, state.watermark, request.overlap, state.cursor, state.rest, request.thrifty)


def _unit_path(lake: Lake, request: SyncRequest, table: str) -> str:
    """Where this sync's file goes; a step that Dagster tries again within one run takes the next part."""
    part = 0
    while lake.storage.exists(
        path := layout.bronze_unit(request.tenant, request.source, table, request.day, request.run_id, part)
    ):
        part += 1
    return path


class _ReadClock:
    """`read_at` values that never go back, though this machine's clock may: the latest version of a record is the one
    read last."""

    def __init__(self, last: datetime | None) -> None:
        self.last = last

    def at(self, moment: datetime) -> datetime:
        if self.last is not None and moment <= self.last:
            moment = self.last + timedelta(microseconds=1)
        self.last = moment
        return moment
