"""`lake doctor`: is everything there that a sync needs, and what to do about what is not."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from lake_assets.gold.spec import load_marts
from lake_assets.silver.spec import SpecError, load_specs
from lake_cli.console import err, print_json, print_table
from lake_config import ConfigError, MissingVariableError, Secret, Settings, load_settings
from resources.connecting import connect
from resources.connectors.base import SourceError
from resources.dagster_home import instance_environment
from resources.dagster_lake import open_lake


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `advice` says what to do if it is not ok."""

    what: str
    ok: bool
    detail: str
    advice: str = ""


def examine(as_json: bool) -> int:
    """Look at everything, even after a failure.

    Returns:
        The exit status: 1 if anything is not ok.
    """
    findings = list(_findings())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [
            ["ok" if finding.ok else "FAILED", finding.what, finding.detail, finding.advice] for finding in findings
        ]
        print_table("", ["", "what", "found", "what to do"], rows)
    broken = sum(not finding.ok for finding in findings)
    if broken:
        err.print(f"{broken} of {len(findings)} need attention", style="red")
    return 1 if broken else 0


def _findings() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except ConfigError as error:
        yield Finding("configuration", False, str(error), "Correct the keys named here; README.md shows a whole file.")
        return
    yield Finding("configuration", True, f"{settings.path}: {len(settings.tenants)} tenant(s)")
    yield _try(
        "specs",
        lambda: f"{len(load_specs())} silver entities, {len(load_marts())} marts",
        "Correct the spec at the line named.",
        SpecError,
    )
    yield _try("lake", lambda: _writable(settings), "Make lake.root a place that this user may write to.", Exception)
    yield _try(
        "postgres",
        lambda: _postgres(settings),
        "Check lake.postgres: `embedded`, or the URL of a server that answers.",
        Exception,
    )
    if webhook := settings.lake.webhook_url:
        unset = ", ".join(webhook.missing())
        detail = f"environment variable {unset} is not set" if unset else "configured"
        yield Finding("webhook", not unset, detail, "Set it, or take lake.webhook_url out." if unset else "")
    for slug, tenant in settings.tenants.items():
        for name, source in tenant.sources.items():
            where = f"{slug}/{name}"
            if tenant.retired:
                yield Finding(where, True, "retired: not synced")
                continue
            if source.webhook_secret is not None:
                yield _webhook(f"tenants.{slug}.sources.{name}.webhook_secret", where, source.webhook_secret)
            connector = connect(slug, name, source)
            try:
                yield _try(
                    where,
                    connector.check,
                    f"See tenants.{slug}.sources.{name} in {settings.path.name}.",
                    SourceError,
                    MissingVariableError,
                )
            finally:
                connector.close()


def _webhook(key: str, where: str, secret: Secret) -> Finding:
    unset = ", ".join(secret.missing())
    if unset:
        return Finding(
            f"{where} webhooks", False, f"environment variable {unset} is not set", f"Set it, or take {key} out."
        )
    if not secret.reveal(key).strip():
        return Finding(
            f"{where} webhooks", False, "the secret is empty: every message is refused", f"Set what {key} names."
        )
    return Finding(f"{where} webhooks", True, "configured")


def _try(what: str, look: Callable[[], str], advice: str, *errors: type[Exception]) -> Finding:
    try:
        return Finding(what, True, look())
    except errors as error:
        return Finding(what, False, str(error) or type(error).__name__, advice)


def _writable(settings: Settings) -> str:
    storage = open_lake(settings).storage
    probe = f"_state/doctor-{uuid.uuid4().hex}.json"
    storage.write_json(probe, {})
    storage.remove(probe)
    return settings.root


def _postgres(settings: Settings) -> str:
    with instance_environment(settings):
        return "embedded" if settings.lake.postgres == "embedded" else "answers"
