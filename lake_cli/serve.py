"""`lake serve`: the HTTP server alone."""

from lake_cli.console import err, fail
from lake_cli.ports import require_free_port
from lake_cli.sync import UNUSABLE
from lake_config import Settings
from resources.dagster_home import instance_environment
from serving.app import serve


def run_server(settings: Settings, host: str, port: int) -> None:
    """Serve until stopped; an embedded Postgres runs as long."""
    require_free_port(port, "the HTTP API", "End it, or choose another port with --port.", host)
    try:
        with instance_environment(settings) as environment:
            err.print(f"HTTP API on http://{host}:{port} (Ctrl-C stops it)", soft_wrap=True)
            serve(settings, environment.postgres_url, host, port)
    except UNUSABLE as error:
        fail(str(error), 1)
