"""From the queue that webhooks fill to runs that read what they told of."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from dagster import DefaultSensorStatus, RunRequest, SensorDefinition, SensorEvaluationContext, SkipReason, sensor

from lake_assets.automation.notices import send_notice
from lake_assets.automation.runs import SYNC_JOB, busy_tenants, sync_request
from lake_config import Settings
from resources import ingest_queue
from resources.connecting import connect as connect_source
from resources.dagster_lake import LakeResource
from resources.ingest_queue import Waiting
from resources.postgres import connect, running_url

TICK_SECONDS = 20
"""What a webhook told of is in bronze within a minute: a tick, the start of a run, the run."""

FIRST_WAIT, LONGEST_WAIT = 60, 1800
"""Seconds until a batch whose run did not take it is asked for again; doubles each time."""

GIVE_UP_AFTER = 12
"""Runs, over about four hours; then what waits is set aside with a notice, and left to the next sync."""


def webhook_sensor(settings: Settings) -> SensorDefinition:
    """Asks for a run of each source instance of which something waits."""

    @sensor(
        name="webhook_changes",
        job_name=SYNC_JOB,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Reads the records that webhooks told of into bronze, in small batches.",
    )
    def webhook_changes(context: SensorEvaluationContext, lake: LakeResource) -> Iterator[RunRequest | SkipReason]:
        url = running_url(settings)
        if url is None:
            yield SkipReason("the embedded Postgres is not running; `lake up` starts it")
            return
        asked: dict[str, list[float]] = json.loads(context.cursor or "{}")
        busy = busy_tenants(context.instance)
        requests: list[RunRequest] = []
        with connect(url, "revlake webhooks") as connection:
            ingest_queue.prepare(connection)
            batches = ingest_queue.waiting(connection)
            for batch in batches:
                gave_up = asked.get(f"{batch.tenant}/{batch.source}", _NEVER)
                if gave_up[0] == batch.first and gave_up[2] >= GIVE_UP_AFTER and batch.tenant not in busy:
                    _give_up(settings, batch)
                    set_aside = dict.fromkeys(batch.ids, "given up")
                else:
                    set_aside = dict.fromkeys(unread_tables(settings, batch), "not read")
                for table, why in set_aside.items():
                    ids = batch.ids.pop(table)
                    ingest_queue.done(connection, batch.tenant, batch.source, table, ids, batch.upto, why)
        for batch in batches:
            if not batch.ids or batch.tenant in busy:
                continue
            if (key := _run_key(batch, asked, datetime.now(UTC).timestamp())) is not None:
                busy.add(batch.tenant)
                requests.append(_request(settings, batch, key))
        live = {f"{batch.tenant}/{batch.source}" for batch in batches}
        context.update_cursor(json.dumps({name: entry for name, entry in asked.items() if name in live}))
        yield from requests
        if not requests:
            yield SkipReason(f"{sum(len(batch.ids) for batch in batches)} table(s) with news that cannot be read yet")

    return webhook_changes


def unread_tables(settings: Settings, batch: Waiting) -> list[str]:
    """Tables of which something was told but which no sync of the instance reads (any more)."""
    tenant = settings.active_tenants.get(batch.tenant)
    if tenant is None or batch.source not in tenant.sources:
        return list(batch.ids)
    connector = connect_source(batch.tenant, batch.source, tenant.sources[batch.source])
    try:
        read = set(connector.tables())
    finally:
        connector.close()
    return [table for table in batch.ids if table not in read]


_NEVER = [0.0, 0.0, 0.0, 0.0]


def _run_key(batch: Waiting, asked: dict[str, list[float]], now: float) -> str | None:
    """None while an earlier run for the same batch may still be on its way, or failed a moment ago.

    Parameters:
        asked: `tenant/source` -> [first and last row asked for, attempts, Unix time]; brought up to date.
    """
    name = f"{batch.tenant}/{batch.source}"
    first, upto, attempts, at = asked.get(name, _NEVER)
    if first != batch.first:
        attempts = 0.0  # something was done meanwhile
    elif (upto == batch.upto or attempts > 1) and now - at < min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempts - 1)):
        return None
    asked[name] = [float(batch.first), float(batch.upto), attempts + 1, now]
    # Dagster never repeats a key, whatever became of its run.
    return f"{name}-{batch.upto}-{now:.3f}"


def _give_up(settings: Settings, batch: Waiting) -> None:
    text = (
        f"{batch.tenant}/{batch.source}: {GIVE_UP_AFTER} runs could not read what webhooks told of"
        f" {', '.join(sorted(batch.ids))}; the next sync may"
    )
    send_notice(settings, text, tenant=batch.tenant, source=batch.source)


def _request(settings: Settings, batch: Waiting, run_key: str) -> RunRequest:
    today = datetime.now(UTC).date()
    return sync_request(
        settings,
        batch.tenant,
        today,
        run_key=run_key,
        only=batch.source,
        tables=batch.ids.keys(),
        source=batch.source,
        ids=batch.ids,
        queue_upto=batch.upto,
    )
