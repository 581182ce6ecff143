"""The command's entry: what `lake --help` shows. Each command's work is in a module of its own."""

import argparse
import os
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lake_cli.console import fail, readable, settings_or_exit
from lake_config import Settings

app = typer.Typer(
    name="lake",
    help="A multi-tenant revenue lakehouse: sources -> bronze -> silver -> gold, as one Dagster graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """How `lake sql` writes its answer."""

    table = "table"
    json = "json"
    csv = "csv"


Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's name in lake.yaml.")]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]


Scale = Annotated[
    float, typer.Option(help="Multiplies the amount of data in the stand-in sources; a lake's first start decides.")
]


@app.callback()
def choose_config(
    config: Annotated[
        Path | None, typer.Option("--config", help="The configuration file [default: $LAKE_CONFIG or ./lake.yaml].")
    ] = None,
) -> None:
    """Remember which configuration file every command reads."""
    if config is not None:
        os.environ["LAKE_CONFIG"] = str(config.expanduser().resolve())


def _settings(tenant: str | None = None) -> Settings:
    settings = settings_or_exit()
    if tenant is not None and tenant not in settings.tenants:
        known = ", ".join(sorted(settings.tenants)) or "none"
        fail(f"{settings.path.name} has no tenant {tenant!r} (it has: {known})")
    return settings


@app.command()
def sync(
    tenant: Tenant,
    source: Annotated[str | None, typer.Option(help="Only this source instance.")] = None,
    tables: Annotated[str | None, typer.Option(help="Only these tables, e.g. crm_lead,res_partner.")] = None,
    from_: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="First day [default: today, or --to]."),
    ] = None,
    to: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Last day [default: today]."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything again, not only what changed.")] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Compare id lists: find deleted records and strays.")] = False,
    confirm_deletes: Annotated[
        bool, typer.Option("--confirm-deletes", help="Let the sweep delete more than 5 % of a table.")
    ] = False,
) -> None:
    """Read what is new at a tenant's sources and bring bronze, silver and gold up to date.

    Runs through Dagster in this process, so it shows in the UI. Exit status 1 if any table failed; the rest is done.

    Examples:  lake sync --tenant northwind  |  lake sync --tenant northwind --from 2026-01-01 --to 2026-01-07
    """
    settings = _settings(tenant)  # before the import below, which reads the configuration, too
    from lake_cli.sync import days_between, sync_tenant

    if settings.tenants[tenant].retired:
        fail(f"tenant {tenant} is retired: its data stays, it is not synced any more (tenants.{tenant}.retired)")
    if source is not None and source not in settings.tenants[tenant].sources:
        fail(
            f"tenant {tenant} has no source {source!r} (it has: {', '.join(settings.tenants[tenant].sources) or 'none'})"
        )
    if confirm_deletes and not sweep:
        fail("--confirm-deletes belongs to --sweep")
    days = days_between(settings, from_.date() if from_ else None, to.date() if to else None)
    names = [name.strip() for name in tables.split(",") if name.strip()] if tables else None
    options = {"full": full, "sweep": sweep, "confirm_deletes": confirm_deletes}
    if source is not None:
        options["source"] = source  # type: ignore[assignment]
    sys.exit(sync_tenant(settings, tenant, days, names, {key: value for key, value in options.items() if value}))


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help="One SELECT over bronze.*, raw.*, silver.*, gold.*, quarantine.records.")
    ],
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Only this tenant's rows [default: all tenants].")
    ] = None,
    format: Annotated[Format, typer.Option(help="How the answer is written.")] = Format.table,
) -> None:
    """Query the lake, read only.

    Examples:  lake sql "SELECT stage, count(*), sum(value) FROM silver.opportunity GROUP BY 1" --tenant northwind
    """
    from lake_cli.sql import run_query

    settings = _settings(tenant)
    run_query(settings, query, [tenant] if tenant else list(settings.tenants), format.value)


@app.command()
def status(json: Json = False) -> None:
    """Per tenant and table: rows, last sync, lag, quality score, open quarantine, status."""
    from lake_cli.status import show_status

    show_status(_settings(), as_json=json)


@app.command()
def doctor(json: Json = False) -> None:
    """Check configuration, secrets, sources, Postgres and the lake; say what to do about each failure."""
    from lake_cli.doctor import examine

    sys.exit(examine(as_json=json))


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Where to listen, on 127.0.0.1.")] = 8899,
    scale: Annotated[float, typer.Option(help="Multiplies the amount of data.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same data.")] = 7,
) -> None:
    """Run the stand-in sources alone, until Ctrl-C."""
    from sandbox.context import Options
    from sandbox.server import HOST, serve

    typer.echo(f"stand-in sources on http://{HOST}:{port} (Ctrl-C stops them)", err=True)
    serve(port, Options(seed=seed, scale=scale))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
) -> None:
    """Serve the lake over HTTP until Ctrl-C: webhooks of sources come in at POST /ingest/<tenant>/<source>."""
    from lake_cli.serve import run_server

    run_server(_settings(), host, port)


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Where the Dagster UI listens, on 127.0.0.1.")] = 3000,
    api_port: Annotated[int, typer.Option(help="Where the HTTP API listens, on 127.0.0.1.")] = 8000,
    scale: Scale = 1.0,
) -> None:
    """Start everything: stand-in sources, Postgres, the first load, Dagster UI, daemon and HTTP API; until Ctrl-C."""
    from lake_cli.up import run_everything

    sys.exit(run_everything(_settings(), port, api_port, scale))


@app.command()
def demo(scale: Scale = 1.0) -> None:
    """The demo's load without staying: fill the lake from the stand-in sources, print a summary, exit."""
    from lake_cli.demo import run_demo

    sys.exit(run_demo(_settings(), scale))


def main() -> None:
    """Run the command. `--config` may stand before or after the command's name."""
    anywhere = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    anywhere.add_argument("--config")
    given, arguments = anywhere.parse_known_args()
    try:
        app(args=["--config", given.config, *arguments] if given.config else arguments)
    except Exception as error:
        if (message := readable(error)) is None:
            raise
        fail(message, 1)


if __name__ == "__main__":
    main()
