"""What the HTTP client builds on: a session without surprises, addresses, headers, and what a failed exchange means.

What belongs here: how we use requests and urllib3. What does not: bounds, retries, counters (`resources/http.py`).
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from socket import gaierror
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar

from resources.connectors.base import PermanentError

CONNECT_SECONDS = 10.0
"""A host that is there accepts a connection at once; the rest of the timeout is for its work."""


class TryAgain(Exception):
    """Raised by a `parse` function: a passing failure. The client tries again, and in the end raises `TransientError`.

    Parameters:
        reason: what happened, without saying where.
        wait: seconds that the source asks to wait.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def split_url(url: str, where: str) -> SplitResult:
    """The parts of an address that can be asked.

    Raises:
        PermanentError: it is none, or holds a user name or password, which would show in messages and logs.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.username is None:
            return parts
    except ValueError:  # half an IPv6 address, a port that is no number
        pass
    raise PermanentError(
        f"{where}: the configured address is not an http:// or https:// address without user name and password."
    )


def may_pass(status: int) -> bool:
    """Whether a server's failure may be over soon. Proxies have statuses of their own in the 5xx (Cloudflare: 520 to 530), so
    only what says that the server will never do it is left out."""
    return 500 <= status < 600 and status not in (501, 505)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a `Retry-After` header (seconds or a date) asks to wait; None without a readable one."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        date = http_date(value)
        if date is None:
            return None
        # Measured on the clock that wrote it: ours may be off.
        seconds = (date - (http_date(headers.get("Date")) or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def http_date(value: str | None) -> datetime | None:
    """The moment that a header such as `Date` names, UTC; None without a readable one."""
    try:
        date = parsedate_to_datetime(value or "")
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def new_session(pool_size: int) -> requests.Session:
    """A session that keeps up to `pool_size` connections to a host and nothing else from one request to the next."""
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=pool_size)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.headers["User-Agent"] = "revlake"
    session.cookies = _NoCookies()
    # Without an auth of its own, requests replaces our Authorization header by what a ~/.netrc says of the host.
    session.auth = _leave_as_it_is
    return session


class _NoCookies(RequestsCookieJar):
    """Every request stands alone: a web session that a server hands out would expire, and threads would share it."""

    def set_cookie(self, cookie: Any, *args: Any, **kwargs: Any) -> None:
        return None


def _leave_as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def classified(error: requests.RequestException, timeout: float, where: str) -> Exception:
    """What a failed exchange means, `TryAgain` or a `PermanentError`, in words that hold neither request nor URL.

    Parameters:
        timeout: seconds the exchange was given.
        where: tenant, source and table, to begin a message with.
    """
    if isinstance(error, requests.exceptions.InvalidURL):
        return PermanentError(f"{where}: the configured address is not a valid URL.")
    causes = list(_causes(error))
    if any("CERTIFICATE_VERIFY_FAILED" in str(cause) for cause in causes):
        return PermanentError(
            f"{where}: the server's TLS certificate is not trusted here. Let REQUESTS_CA_BUNDLE name its authority's."
        )
    if any(isinstance(cause, requests.exceptions.ConnectTimeout) for cause in causes):
        return TryAgain(f"no connection within {min(CONNECT_SECONDS, timeout):g} s")
    if any(
        isinstance(cause, (TimeoutError, requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError))
        for cause in causes
    ):
        return TryAgain(f"timed out: no answer within {timeout:g} s")
    if any(isinstance(cause, gaierror) for cause in causes):
        return TryAgain("the host name does not resolve")
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)):
        return TryAgain("the answer broke off or was damaged on the way")
    system = next((cause.strerror for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), None)
    return TryAgain(f"the connection failed: {system}" if system else "the connection broke without an answer")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that led to it, which requests and urllib3 put into `args` and `reason` as well."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        item = todo.pop()
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            todo += [item.__context__, item.__cause__, getattr(item, "reason", None), *item.args]
