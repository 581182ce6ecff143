"""`POST /ingest/<tenant>/<source>`: webhooks of source systems into the queue that a sensor empties into bronze.

What belongs here: HTTP, and keeping what was told. Whose message it is and what it tells is for the source's module
(`SourceType.webhook`). An answer of 202 means that it is in Postgres, committed.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lake_config import MissingVariableError, Settings, SourceSettings, source_types
from resources import ingest_queue
from resources.connectors.base import Change, WebhookRefused

log = logging.getLogger(__name__)

LARGEST_BYTES = 1 << 20
RETRY_SECONDS = 30

CONNECT_SECONDS = 3
AWAY_SECONDS = 5.0
"""So long a Postgres that did not answer is not asked again."""


class _SecretMissing(Exception):
    """The configured secret holds nothing."""


class Ingest:
    """The endpoint.

    Parameters:
        settings: tenants and their sources.
        postgres_url: where the queue is.
    """

    def __init__(self, settings: Settings, postgres_url: str) -> None:
        self._settings, self._url = settings, postgres_url
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = threading.Lock()
        self._away_until = 0.0

    def routes(self) -> list[Route]:
        return [Route("/ingest/{tenant}/{source}", self.receive, methods=["POST"])]

    async def receive(self, request: Request) -> Response:
        """Answers 202 with how many changes were queued; 401, 404, 400, 413 with the reason; 503 when Postgres is away."""
        tenant, name = request.path_params["tenant"], request.path_params["source"]
        source = self._source(tenant, name)
        if source is None:
            return _refusal(404, f"tenant {tenant} has no source {name} that takes webhooks")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BYTES:
                return _refusal(413, f"more than {LARGEST_BYTES} bytes")
        headers = {key.lower(): value for key, value in request.headers.items()}
        try:
            changes = self._read(source, f"tenants.{tenant}.sources.{name}.webhook_secret", headers, body)
        except WebhookRefused as error:
            log.warning("webhook of %s/%s refused: %s", tenant, name, error)
            return _refusal(401, str(error))
        except (MissingVariableError, _SecretMissing) as error:
            log.error("webhook of %s/%s: %s", tenant, name, error)
            return _refusal(503, "the webhook's secret is not set here", {"Retry-After": str(RETRY_SECONDS)})
        except ValueError as error:
            return _refusal(400, str(error))
        try:
            queued = await run_in_threadpool(self._put, tenant, name, changes)
        except psycopg.Error as error:
            log.error("webhook of %s/%s: the queue is away: %s", tenant, name, type(error).__name__)
            return _refusal(503, "the queue is away", {"Retry-After": str(RETRY_SECONDS)})
        return JSONResponse({"queued": queued}, 202)

    def _source(self, tenant: str, name: str) -> SourceSettings | None:
        known = self._settings.active_tenants.get(tenant)
        source = known.sources.get(name) if known else None
        if source is None or source.webhook_secret is None or source_types()[source.type].webhook is None:
            return None
        return source

    def _read(self, source: SourceSettings, key: str, headers: dict[str, str], body: bytes) -> list[Change]:
        webhook: Callable[..., Any] | None = source_types()[source.type].webhook
        assert webhook is not None
        assert source.webhook_secret is not None
        secret = source.webhook_secret.reveal(key)
        if not secret.strip():  # anybody can sign with nothing
            raise _SecretMissing(f"{key} is empty")
        return list(webhook(secret, headers, body))

    def _put(self, tenant: str, name: str, changes: list[Change]) -> int:
        with self._lock:
            if time.monotonic() < self._away_until:
                raise psycopg.OperationalError("the server was away a moment ago")
            for last in (False, True):
                try:
                    if self._connection is None or self._connection.closed:
                        # One short try: who sends webhooks does not wait long, and comes again.
                        self._connection = psycopg.connect(
                            self._url, application_name="revlake ingest", connect_timeout=CONNECT_SECONDS
                        )
                        ingest_queue.prepare(self._connection)
                    return ingest_queue.put(self._connection, tenant, name, changes)
                except psycopg.OperationalError:
                    # The server may have been restarted since the last message.
                    self._connection = None
                    if last:
                        self._away_until = time.monotonic() + AWAY_SECONDS
                        raise
        raise AssertionError("unreachable")


def _refusal(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status, headers)
