"""Snapshots: one file a day with the state as of that day's end."""

from datetime import date

from lake_assets.gold.inputs import version_as_of
from lake_assets.gold.work import MartWork
from resources import layout


def make_snapshots(work: MartWork) -> None:
    """Every day whose inputs moved has a snapshot of its own; a past day that moves re-makes the later ones too, because the
    state as of each of them moved with it."""
    spec, request = work.spec, work.request
    versions = work.versions()
    if not versions:
        return
    wanted = {*versions, *snapshot_days(work)}
    if spec.every_day:
        wanted.add(request.day)
    for day in sorted({*wanted, *request.force}):
        version = version_as_of(versions, day)
        if day < min(versions) or (work.state.get(day.isoformat()) == version and day not in request.force):
            continue
        with work.connection(day) as connection:
            work.write(connection, spec.sql, layout.gold_snapshot(request.tenant, spec.mart, day))
        work.state[day.isoformat()] = version
        work.save_state()
        work.outcome.dates.append(day)


def snapshot_days(work: MartWork) -> list[date]:
    """The days that have a snapshot."""
    return [date.fromisoformat(name.removeprefix("date=")) for name in work.lake.storage.folders(work.folder)]
