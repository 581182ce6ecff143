"""The demo: a lake that lives through the last seven days of the stand-in sources.

First a capture as of a week ago, then each day as it came: time passes in the sandbox, a sync of that day follows. So partitions,
history, quality and quarantine have something to show. Called again, it tells the same story up to today and syncs what is new.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dagster import DagsterInstance

from lake_assets.catalog import write_catalog_file
from lake_assets.gold.spec import load_marts
from lake_assets.silver.spec import load_specs
from lake_cli.console import err, fail, out, print_table
from lake_cli.ports import require_free_port
from lake_cli.status import collect_status
from lake_cli.sync import UNUSABLE, run_and_tell
from lake_config import Settings
from resources.dagster_home import close_abandoned_runs, instance_environment, local_instance
from resources.dagster_lake import open_lake
from sandbox.credentials import CREDENTIALS
from sandbox.server import Sandbox, running

DAYS = 7
STORY = "_state/demo.json"
"""Where the lake keeps how the sandbox's story began (first day, scale), which a later start has to tell again from there."""
FILES = ".sandbox"
"""Where, beside the configuration, the stand-ins keep what is read as files."""
_STAND_IN = re.compile(r"http://(?:127\.0\.0\.1|localhost):(\d+)/(odoo|pipedrive|zendesk|salesforce|aws)(?:19)?/\w+")
"""The address of a system of the sandbox: none of one's own has this path."""


def run_demo(settings: Settings, scale: float) -> int:
    """Fill the lake and print a summary per tenant and layer.

    Parameters:
        scale: of the sandbox's data; the lake's first start decides.

    Returns:
        The exit status: 1 if a run failed.
    """
    try:
        with sandbox_for(settings, scale) as sandbox, instance_environment(settings), local_instance() as instance:
            close_abandoned_runs(instance)
            seconds, succeeded = live_through(settings, sandbox, instance)
    except UNUSABLE as error:
        fail(str(error), 1)
    print_summary(settings, seconds)
    return 0 if succeeded else 1


@dataclass(frozen=True)
class StandIns:
    """What of the sandbox a configuration uses: `tenants`, `port`, kinds of source, and where its Postgres listens."""

    tenants: tuple[str, ...]
    port: int
    sources: tuple[str, ...]
    apn_port: int = 0


def stand_ins(settings: Settings) -> StandIns | None:
    """The sandbox's systems that `settings` name; None if they name none."""
    found: dict[str, set[str]] = {}
    port = apn_port = 0
    for slug, tenant in settings.active_tenants.items():
        for source in tenant.sources.values():
            for address in source.model_dump().values():
                if isinstance(address, str) and (match := _STAND_IN.match(address)):
                    found.setdefault(slug, set()).add(match[2])
                    port = port or int(match[1])
    for slug, kinds in found.items():
        # A database and a folder have no address that tells them from anybody's own; of a tenant of the sandbox they are its.
        for source in settings.tenants[slug].sources.values():
            if source.type in ("apn", "documents"):
                kinds.add(source.type)
            if source.type == "apn":
                apn_port = int(getattr(source, "port", 0))
    kinds = tuple(sorted(set().union(*found.values())))
    return StandIns(tuple(found), port, kinds, apn_port) if found else None


@contextmanager
def sandbox_for(settings: Settings, scale: float = 1.0) -> Iterator[Sandbox | None]:
    """The stand-in sources on the port that the configuration names, at the first day of their story; None if it names none."""
    used = stand_ins(settings)
    if used is None:
        yield None
        return
    advice = f"End it, or change the ports of the sources in {settings.path.name}."
    require_free_port(used.port, "the stand-in sources", advice)
    if used.apn_port:
        require_free_port(used.apn_port, "the stand-in APN database", advice)
    _tell_passwords(settings)
    story = _story(settings, scale)
    with running(
        port=used.port,
        start=f"{story['first_day']}T18:00:00Z",
        scale=story["scale"],
        sources=",".join(used.sources),
        folder=settings.path.parent / FILES,
        apn_port=used.apn_port,
    ) as sandbox:
        # A week passes in a minute here; ten exports a minute, or ten reads a second, would make it a quarter of an hour.
        if "zendesk" in used.sources:
            sandbox.set_limits("zendesk", "skyfit", exports=None)
        if "aws" in used.sources:
            sandbox.set_limits("aws", "podium")
        err.print(f"stand-ins of {', '.join(used.sources)} on {sandbox.url}", soft_wrap=True)
        yield sandbox


def _tell_passwords(settings: Settings) -> None:
    """The stand-ins' passwords for this process, and in `.env` for commands in other terminals."""
    text = settings.path.read_text(encoding="utf-8")
    missing = [name for name in CREDENTIALS if f"${{{name}}}" in text and name not in os.environ]
    os.environ.update({name: CREDENTIALS[name] for name in missing})
    if missing:
        file = settings.path.parent / ".env"
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        with file.open("a", encoding="utf-8") as env:
            env.write(
                ("\n" if before and not before.endswith("\n") else "")
                + "# Of the demo's stand-in sources:\n"
                + "".join(f"{name}={CREDENTIALS[name]}\n" for name in missing)
            )


def _story(settings: Settings, scale: float) -> dict[str, Any]:
    """How the sandbox's story began: a week before it was first told."""
    storage = open_lake(settings).storage
    story = storage.read_json(STORY)
    if story is None:
        story = {"first_day": (datetime.now(UTC).date() - timedelta(days=DAYS)).isoformat(), "scale": scale}
        storage.write_json(STORY, story)
    return {"scale": 1.0, **story}


def live_through(
    settings: Settings, sandbox: Sandbox | None, instance: DagsterInstance
) -> tuple[dict[str, float], bool]:
    """Let the sandbox's days pass and sync each of them that the lake does not have yet, then today. Tenants whose sources are
    somebody's own are synced today.

    Returns:
        Seconds per tenant, and whether every run succeeded.
    """
    lake = open_lake(settings)
    used = stand_ins(settings)
    today = datetime.now(UTC).date()
    seconds = dict.fromkeys(settings.active_tenants, 0.0)
    succeeded = True

    def sync(tenant: str, day: date, **options: Any) -> None:
        nonlocal succeeded
        started = time.monotonic()
        succeeded = run_and_tell(settings, instance, tenant, day, options=options) and succeeded
        seconds[tenant] += time.monotonic() - started

    if sandbox is not None:
        story = _story(settings, 1.0)
        first, done = date.fromisoformat(story["first_day"]), date.fromisoformat(story.get("synced", "1970-01-01"))
        for day in (first + timedelta(days=number) for number in range((today - first).days + 1)):
            sandbox.advance("now" if day == today else f"{day}T23:59:50Z")
            if day > done:
                for tenant in used.tenants if used else ():
                    sync(tenant, day, **({"sweep": True} if day > first else {}))
                # Today is not over: a start tomorrow syncs it again.
                lake.storage.write_json(STORY, {**story, "synced": str(min(day, today - timedelta(days=1)))})
    for tenant in settings.active_tenants:
        if used is None or tenant not in used.tenants:
            sync(tenant, today)
    write_catalog_file(settings, lake)
    return seconds, succeeded


def print_summary(settings: Settings, seconds: dict[str, float]) -> None:
    """Tables, rows, quality score and time per tenant and layer."""
    lake = open_lake(settings)
    entries = collect_status(settings, lake)
    rows: list[list[Any]] = []
    for tenant in settings.active_tenants:
        for layer in ("bronze", "silver", "gold"):
            mine = [
                entry for entry in entries if entry["tenant"] == tenant and entry["layer"] == layer and entry["rows"]
            ]
            count = sum(entry["rows"] for entry in mine)
            score = sum(entry["quality_score"] * entry["rows"] for entry in mine if entry["quality_score"] is not None)
            quarantine = sum(entry["open_quarantine"] or 0 for entry in mine)
            silver = layer == "silver" and count
            rows.append(
                [
                    tenant,
                    layer,
                    len(mine),
                    count,
                    f"{score / count:.3f}" if silver else "",
                    quarantine if silver else None,
                    f"{seconds.get(tenant, 0):.1f} s" if layer == "gold" else "",
                ]
            )
    print_table(
        "The lake", ["tenant", "layer", "tables", "rows", "quality score", "quarantined", "time, all layers"], rows
    )
    out.print(
        f"{len(load_specs())} silver entities and {len(load_marts())} marts in {settings.root}; "
        f"views for BI tools in {settings.catalog_file}"
    )
