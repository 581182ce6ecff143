"""The HTTP client that every connector reads through.

What belongs here: pooled connections, the bounds on requests in flight and per second of one source instance, retries
of what is transient, deadlines, counters, and the rule that no message, log line or URL shows a credential. What does
not: anything about one source's protocol; a connector hands in a `parse` function that knows what an answer means.
"""

import itertools
import logging
import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import responses as http_phrases
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests

from lake_config import SourceSettings
from resources.budget import Budget
from resources.connectors.base import PermanentError, TransientError
from resources.http_session import (
    CONNECT_SECONDS,
    TryAgain,
    classified,
    http_date,
    is_loopback,
    may_pass,
    new_session,
    retry_after,
    split_url,
)
from resources.http_words import quoted, request_id, sent_secrets
from resources.pacing import Pace, RateLimit

log = logging.getLogger(__name__)

T = TypeVar("T")

CHUNK_BYTES = 1 << 18
"""Read between two looks at the clock."""


class SlowAnswer(TransientError):
    """The source worked long and failed: a timeout, or a gateway or worker that gave up. Asking for less may help."""


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again. All times in seconds."""

    tries: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    deadline: float = 600.0
    """Over all tries of one request and the waits between them."""
    slow_after: float = 30.0
    """A failure that took this long to arrive is tried once more only."""

    def wait_after(self, attempt: int, jitter: float) -> float:
        """Seconds to wait after the n-th try: anything up to a limit that doubles (full jitter), so that clients that
        failed together do not come back together."""
        return jitter * min(self.longest_wait, self.first_wait * 2 ** (attempt - 1))


@dataclass(frozen=True)
class Usage:
    """What a source was asked."""

    requests: int = 0
    retries: int = 0
    bytes_read: int = 0
    """Of answers' bodies, decompressed."""
    seconds: float = 0.0
    """Spent waiting for answers, summed over threads."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.requests + other.requests,
            self.retries + other.retries,
            self.bytes_read + other.bytes_read,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True)
class Response:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    read_at: datetime
    """When the request began, UTC, by this machine's clock."""
    seconds: float
    where: str
    """Tenant, source and table, to begin a message with."""
    path: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What the request held that no message may show."""

    def quote(self, text: str) -> str:
        """The source's own words, fit for one line of a message: whatever is repeated of an answer goes through here."""
        return quoted(text, self.secrets)

    def naming_the_request(self, text: str) -> str:
        """`text`, and what the server calls the request, if it names it and `text` does not."""
        named = self.quote(request_id(self.headers))
        return f"{text} (request {named})" if named and named not in text else text

    def raise_for_status(self) -> None:
        """Say what an HTTP status other than 2xx means.

        Raises:
            TryAgain: 429 and the 5xx that pass.
            PermanentError: a redirect or any other refusal.
        """
        if 200 <= self.status < 300:
            return
        phrase = http_phrases.get(self.status, "unknown status")
        said = self.naming_the_request(f"HTTP {self.status} ({phrase}) for {self.path}")
        if self.status == 429 or may_pass(self.status):
            raise TryAgain(said, retry_after(self.headers))
        if 300 <= self.status < 400:
            target = urlsplit(self.headers.get("Location", ""))
            raise PermanentError(
                f"{self.where}: {said}: it redirects to {target.scheme}://{target.hostname}. Configure that address."
            )
        raise PermanentError(f"{self.where}: the source refused the request with {said}.")


class HttpClient:
    """One source instance over HTTP. Safe to use from many threads.

    Parameters:
        tenant, source: named in messages and logs.
        max_in_flight: requests under way at once.
        max_per_second: requests started per second, evenly spaced; None for no bound.
        timeout_seconds: for one try, from its start to the last byte.
        budget: pays for every try; by default one that has no end.
        clock, sleep, jitter: seconds that only grow, waiting, and a number in [0, 1); tests bring their own.
    """

    def __init__(
        self,
        tenant: str,
        source: str,
        *,
        max_in_flight: int = 4,
        max_per_second: float | None = None,
        timeout_seconds: float = 120.0,
        retry: RetryPolicy | None = None,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._names = {"tenant": tenant, "source": source}
        self._timeout = timeout_seconds
        self._retry = retry or RetryPolicy()
        self._budget = budget or Budget(None, tenant, source)
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        self._slots = threading.BoundedSemaphore(max_in_flight)
        self._pace = Pace(max_per_second, clock, sleep)
        self._session = new_session(max_in_flight)
        self._lock = threading.Lock()
        self._usage: dict[str | None, Usage] = defaultdict(Usage)
        self._seen_time: tuple[datetime, float] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        settings: SourceSettings,
        tenant: str,
        budget: Budget | None,
        retry: RetryPolicy | None = None,
    ) -> Self:
        """The client of one source instance, with the bounds that its settings give."""
        return cls(
            tenant,
            name,
            max_in_flight=settings.max_in_flight,
            max_per_second=settings.max_per_second,
            timeout_seconds=settings.timeout_seconds,
            retry=retry,
            budget=budget,
        )

    def names(self, table: str | None = None) -> dict[str, str | None]:
        """Tenant, source and table, as the `extra` of a log line."""
        return {**self._names, "table": table}

    def where(self, table: str | None = None) -> str:
        """How messages name the place: `tenant northwind, source odoo, table crm_lead`."""
        return f"tenant {self._names['tenant']}, source {self._names['source']}" + (f", table {table}" if table else "")

    def fetch(
        self,
        method: str,
        url: str,
        *,
        parse: Callable[[Response], T],
        table: str | None = None,
        data: bytes | None = None,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        cost: float = 1,
        limit: RateLimit | None = None,
        secrets: tuple[str, ...] = (),
    ) -> T:
        """Ask until there is an answer that `parse` accepts.

        Parameters:
            parse: makes a result of an answer of any status (see `Response.raise_for_status`). It may raise `TryAgain`,
                or a `PermanentError` that goes straight to the caller.
            table: for messages, logs and counters.
            data, json: the body; `json` is encoded.
            headers: or a function that gives them anew for each try, for a token that expires in between.
            cost: of one try, in the unit of the source's budget.
            limit: a bound that only some of the source's requests share.
            secrets: credentials in the body; those in the headers are known.

        Raises:
            BudgetSpent: the day's budget does not reach for it.
            TransientError: no acceptable answer within the tries and the deadline; `SlowAnswer` if it failed late.
            PermanentError: the request cannot succeed.
        """
        json_headers: dict[str, str] = {}
        if json is not None:
            data = msgspec.json.encode(json)
            json_headers["Content-Type"] = "application/json"
        policy = self._retry
        started = begin = self._clock()
        slow_failures = 0
        for attempt in itertools.count(1):
            try:
                with limit.turn() if limit else nullcontext(), self._turn(cost) as begin:
                    if attempt == 1:
                        started = begin
                    sent_headers = {**((headers() if callable(headers) else headers) or {}), **json_headers}
                    request = _Request(method, url, data, params, sent_headers, table, secrets)
                    response = self._send(request, begin, started + policy.deadline)
                return _read(response, parse)
            except TryAgain as error:
                failure = error
            now = self._clock()
            slow = now - begin >= min(policy.slow_after, self._timeout)
            slow_failures += slow
            wait = policy.wait_after(attempt, self._jitter()) + (failure.wait or 0.0)
            if attempt >= policy.tries or slow_failures >= 2 or now + wait - started > policy.deadline:
                raise self._given_up(table, attempt, now - started, failure, SlowAnswer if slow else TransientError)
            if failure.wait:
                self._pace.hold(failure.wait)
            self._count(table, Usage(retries=1))
            extra = {**self.names(table), "attempt": attempt, "wait_seconds": wait}
            log.warning("%s: try %d: %s; next in %.1f s", self.where(table), attempt, failure, wait, extra=extra)
            self._sleep(wait)
        raise AssertionError  # the loop ends by returning or raising

    def usage(self, table: str | None = None) -> Usage:
        """What was asked for `table` so far, or altogether."""
        with self._lock:
            return self._usage[table] if table else sum(self._usage.values(), Usage())

    def server_time(self) -> datetime | None:
        """The source's clock now, in whole seconds and never later than the truth: the latest answer's `Date` header
        and the time since. None before any answer had one."""
        with self._lock:
            seen = self._seen_time
        if seen is None:
            return None
        date, at = seen
        return date + timedelta(seconds=math.floor(self._clock() - at))

    def source_time(self) -> datetime:
        """`server_time`, and this machine's clock where no answer had one."""
        known = self.server_time()
        if known is None:
            log.warning("%s: the server sends no Date header; this machine's clock stands in", self.where())
            return datetime.now(UTC).replace(microsecond=0)
        return known

    def close(self) -> None:
        """Give connections back, and what is left of the budget's portion."""
        self._session.close()
        self._budget.close()

    def rate_limit(self, name: str, count: int, seconds: float) -> RateLimit:
        """A bound that some of the requests share (`fetch(limit=...)`), over all threads; see `Budget.rate_limit`."""
        return self._budget.rate_limit(name, count, seconds)

    @contextmanager
    def _turn(self, cost: float) -> Iterator[float]:
        """Wait for a free slot and for the pace; gives the time at which the request may begin."""
        with self._slots:
            self._budget.spend(cost)
            self._pace.wait()
            yield self._clock()

    def _send(self, request: "_Request", begin: float, deadline: float) -> Response:
        timeout = max(0.1, min(self._timeout, deadline - begin))
        parts = split_url(request.url, self.where(request.table))
        # A proxy for the outside world must not stand between us and a server on this very machine.
        proxies = {"no_proxy": parts.hostname} if parts.hostname and is_loopback(parts.hostname) else {}
        read_at = datetime.now(UTC)
        size = 0
        try:
            with self._session.request(
                request.method,
                request.url,
                data=request.data,
                params=request.params,
                headers=request.headers,
                stream=True,
                timeout=(min(CONNECT_SECONDS, timeout), timeout),
                # A redirected POST turns into a GET, and one to another host would carry the credentials there.
                allow_redirects=False,
                proxies=proxies,
            ) as answer:
                chunks: list[bytes] = []
                for chunk in answer.iter_content(CHUNK_BYTES):
                    chunks.append(chunk)
                    size += len(chunk)
                    if self._clock() - begin > timeout:
                        raise TryAgain(f"the answer was not complete within {timeout:.0f} s")
                status, answer_headers, body = answer.status_code, answer.headers, b"".join(chunks)
        except requests.RequestException as error:
            # `from None`: the library's exception holds the request and with it the credentials.
            raise classified(error, timeout, self.where(request.table)) from None
        finally:
            seconds = self._clock() - begin
            self._count(request.table, Usage(requests=1, bytes_read=size, seconds=seconds))
        self._observe_time(answer_headers.get("Date"))
        extra = self.names(request.table)
        log.debug("%s %s: %d, %d bytes, %.3f s", request.method, parts.path, status, size, seconds, extra=extra)
        where, secrets = self.where(request.table), (*request.secrets, *sent_secrets(request.headers))
        return Response(status, answer_headers, body, read_at, seconds, where, parts.path, secrets)

    def _given_up(
        self, table: str | None, attempts: int, seconds: float, failure: TryAgain, kind: type[TransientError]
    ) -> TransientError:
        extra = {**self.names(table), "attempt": attempts}
        log.warning("%s: giving up after try %d: %s", self.where(table), attempts, failure, extra=extra)
        asks = f" It asks to wait {failure.wait:.0f} s." if failure.wait else ""
        tries = f"{attempts} tries in {seconds:.0f} s" if attempts > 1 else f"one try of {seconds:.0f} s"
        return kind(
            f"{self.where(table)}: no answer after {tries}; the last failure: {failure}.{asks}"
            " The next sync tries again; if this stays, see whether the source is up and reachable from here."
        )

    def _observe_time(self, date_header: str | None) -> None:
        date = http_date(date_header)
        if date is not None:
            with self._lock:
                self._seen_time = (date, self._clock())

    def _count(self, table: str | None, usage: Usage) -> None:
        with self._lock:
            self._usage[table] += usage


def _read(response: Response, parse: Callable[[Response], T]) -> T:
    try:
        return parse(response)
    except TryAgain as error:
        raise TryAgain(response.naming_the_request(str(error)), error.wait) from None


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    data: bytes | None
    params: Mapping[str, str] | None
    headers: dict[str, str]
    table: str | None
    secrets: tuple[str, ...]
