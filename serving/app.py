"""The lake's HTTP server: which routes there are, and how it runs."""

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lake_config import Settings
from serving.ingest import Ingest


def build(settings: Settings, postgres_url: str) -> Starlette:
    """The application.

    Parameters:
        postgres_url: the lake's Postgres.
    """
    return Starlette(routes=[Route("/health", _health), *Ingest(settings, postgres_url).routes()])


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def serve(settings: Settings, postgres_url: str, host: str, port: int) -> None:
    """Serve until stopped."""
    uvicorn.run(build(settings, postgres_url), host=host, port=port, log_level="warning", access_log=False)
