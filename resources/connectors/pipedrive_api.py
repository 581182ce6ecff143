"""One Pipedrive account over HTTP: who asks, how fast, and what an answer means.

What belongs here: login, the burst limit, envelopes and refusals. What does not: tables, windows, columns
(`pipedrive.py`, `pipedrive_columns.py`).

Two refusals look alike: a 429 of the burst limit passes in two seconds; one of the company's daily token budget stays until
midnight, so asking on would only end in the front proxy's ban (403, HTML). A header that counts the day decides, where there
is one. No document promises any; without it, requests left in the burst window mean the day's budget, none left (or no word)
the burst limit, unless every try is refused.
"""

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any
from urllib.parse import urlencode

import msgspec

from resources.connectors import json_text
from resources.connectors.base import BudgetSpent, MissingAtSource, NotPermitted, PermanentError, TransientError
from resources.connectors.remembered import Remembered
from resources.http import HttpClient, Response
from resources.http_session import TryAgain, retry_after
from resources.pacing import RateLimit

BURST_SECONDS = 2.0

EARLY_SECONDS = 60.0
"""An access token is renewed so long before it ends."""

UNEXPLAINED_WAIT = 2.0
"""After a 429 that says nothing: what the burst limit would take."""


SEVERAL_TRIES = 3
"""So many refused in a row, each after the wait that its headers ask for, are no burst."""

UNCLEAR_PAUSE = timedelta(hours=1)
"""Until the next sync, when it is a guess that the day's budget is spent."""


class CursorRefused(PermanentError):
    """The source does not take a cursor (any more)."""


class _Unclear(TryAgain):
    """A 429 that looks like the burst limit's, and may be the day's."""


@dataclass(frozen=True)
class Credentials:
    """An API token, or what buys access tokens."""

    api_token: str = ""
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    token_url: str = ""


@dataclass(frozen=True)
class Listed:
    """One page of a list. `records`: JSON texts, or dictionaries where the answer was not strictly JSON."""

    records: list[Any]
    cursor: str | None
    read_at: datetime


class _Additional(msgspec.Struct):
    next_cursor: str | None = None


class _Envelope(msgspec.Struct):
    success: bool = True
    data: list[msgspec.Raw] | None = None
    additional_data: _Additional | None = None
    error: str | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class Api:
    """An account. Safe to use from many threads.

    Parameters:
        url: where it answers; empty: where the OAuth token says.
        burst: requests in two seconds, if the server does not name its limit.
        credentials: read when they are first needed.
        http, login_http: the clients; the second one renews tokens while all turns of the first may be taken.
        keys: the block's path in `lake.yaml`, for messages.
    """

    def __init__(
        self,
        url: str,
        burst: int,
        credentials: Callable[[], Credentials],
        http: HttpClient,
        login_http: HttpClient,
        keys: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._burst, self._credentials = url.rstrip("/"), burst, credentials
        self.http, self._login_http, self._keys, self._clock = http, login_http, keys, clock
        self._lock, self._first = threading.Lock(), threading.Lock()
        self._refused = Remembered(clock)
        self._named = 0
        """The burst limit, once an answer came."""
        self._access: tuple[str, float] | None = None
        self._worked: set[str] = set()
        """Access tokens that some answer accepted; a request may be refused with one that another thread has renewed since."""

    def listed(self, path: str, params: Mapping[str, str], table: str, cost: float) -> Listed:
        """One page of a list; `path`: from `/` on, e.g. `/api/v2/deals`.

        Raises:
            CursorRefused: the cursor among `params` is not taken any more.
            SourceError: see `resources.connectors.base`.
        """
        return self._fetch(path, params, table, cost, self._page)

    def one(self, path: str, table: str | None, cost: float) -> Any:
        """The `data` of an answer that is no list."""
        return self._fetch(path, {}, table, cost, self._object)

    def _fetch(
        self, path: str, params: Mapping[str, str], table: str | None, cost: float, parse: Callable[[Response], Any]
    ) -> Any:
        used = ""
        tries = unclear = 0

        def headers() -> dict[str, str]:
            nonlocal used, tries
            tries += 1
            credentials = self._credentials()
            if credentials.api_token:
                return {"x-api-token": credentials.api_token}
            used = self._access_token()
            return {"Authorization": f"Bearer {used}"}

        def checked(response: Response) -> Any:
            nonlocal unclear
            if response.status == 401:
                error = self._unauthorized(response, used)
                if isinstance(error, PermanentError):
                    # Whoever asks next may be another table.
                    self._refused.note(PermanentError(str(error).replace(response.where, self.http.where(), 1)))
                raise error
            if response.status == 200:
                self._worked.add(used)
            if response.status == 400 and ("cursor" in params or "cursor:" in _said(response)):
                # Whatever it says to a cursor: what else the request holds was good for the page before.
                raise CursorRefused(f"{response.where}: the source refuses its own cursor: {_refusal(response)}")
            try:
                return parse(response)
            except _Unclear:
                unclear += 1
                raise

        base = self._base()

        def ask(limit: RateLimit | None) -> Any:
            self._refused.again()
            try:
                return self.http.fetch(
                    "GET",
                    base + path,
                    parse=checked,
                    table=table,
                    params=params,
                    headers=headers,
                    cost=cost,
                    limit=limit,
                )
            except TransientError as error:
                if SEVERAL_TRIES <= tries == unclear:
                    raise _spent(f"{error} The day's budget may be spent.", datetime.now(UTC) + UNCLEAR_PAUSE) from None
                raise

        if not self._named:
            with self._first:  # goes alone, because its answer says how many may go together
                if not self._named:
                    return ask(None)
        count = max(1, self._named - 1)
        return ask(self.http.rate_limit(f"burst-{count}", count, BURST_SECONDS))

    # -- who asks ----------------------------------------------------------------------------------------------------

    def _base(self) -> str:
        if not self._url:
            self._access_token()
        return self._url

    def _access_token(self) -> str:
        """The current access token, renewed shortly before its hour is over."""
        with self._lock:
            if self._access is None or self._clock() >= self._access[1]:
                self._access = self._renew(self._credentials())
            return self._access[0]

    def _renew(self, credentials: Credentials) -> tuple[str, float]:
        pair = f"{credentials.client_id}:{credentials.client_secret}".encode()
        form = {"grant_type": "refresh_token", "refresh_token": credentials.refresh_token}
        answer = self._login_http.fetch(
            "POST",
            credentials.token_url,
            parse=self._granted,
            data=urlencode(form).encode(),
            headers={
                "Authorization": f"Basic {base64.b64encode(pair).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            cost=0,
            secrets=(credentials.refresh_token,),
        )
        self._url = self._url or str(answer.get("api_domain") or "").rstrip("/")
        if not self._url:
            raise PermanentError(f"{self.http.where()}: the token names no api_domain; set {self._keys}.url.")
        return str(answer["access_token"]), self._clock() + float(answer.get("expires_in") or 3600) - EARLY_SECONDS

    def _granted(self, response: Response) -> dict[str, Any]:
        if response.status in (400, 401, 403):
            raise PermanentError(
                f"{response.where}: the OAuth server refused to renew the access token: {_refusal(response)}."
                f" Check client_id, client_secret and refresh_token under {self._keys}; a refresh token that"
                " was not used for 60 days must be granted anew."
            )
        response.raise_for_status()
        try:
            answer = json_text.decode(response.body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise TryAgain("the OAuth server's answer holds no access token")
        return answer

    # -- what an answer means ----------------------------------------------------------------------------------------

    def _page(self, response: Response) -> Listed:
        self._check(response)
        try:
            envelope = _decode_envelope(response.body)
            records: list[Any] = [bytes(record) for record in envelope.data or ()]
            success, error = envelope.success, envelope.error
            cursor = envelope.additional_data.next_cursor if envelope.additional_data else None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            body = self._json(response)
            records, success, error = body.get("data") or [], body.get("success", True), body.get("error")
            cursor = (body.get("additional_data") or {}).get("next_cursor")
        if not success:
            raise _unsuccessful(response, error)
        return Listed(records, cursor or None, response.read_at)

    def _object(self, response: Response) -> Any:
        self._check(response)
        body = self._json(response)
        if not body.get("success", True):
            raise _unsuccessful(response, body.get("error"))
        return body.get("data")

    def _json(self, response: Response) -> dict[str, Any]:
        try:
            body = json_text.decode(response.body)
        except ValueError:
            body = None
        if not isinstance(body, dict) or (body.get("data") is not None and not isinstance(body["data"], (list, dict))):
            raise TryAgain("the answer is not Pipedrive's: no JSON of its kind, perhaps a proxy's page")
        return body

    def _check(self, response: Response) -> None:
        """Raise what a refusal means."""
        self._learn(response.headers)
        status, where = response.status, response.where
        if 200 <= status < 300:
            return
        said = _refusal(response)
        if status == 402:
            raise PermanentError(f"{where}: {said}. The company's Pipedrive account is not active.")
        if status == 403:
            if not _is_json(response):
                raise TransientError(
                    f"{where}: {said}. The front proxy bans this address or token for a while, as it does with who goes on"
                    " asking through 429; the next sync tries again."
                )
            raise NotPermitted(
                f"{where}: {said}. Give the token's user the right to see it, or the OAuth app its scope."
            )
        if status in (404, 410):
            raise MissingAtSource(f"{where}: {said}. Check {self._keys}.url.")
        if status == 429:
            raise self._too_many(response, said)
        if status == 400:
            raise PermanentError(f"{where}: {said}")
        response.raise_for_status()
        raise PermanentError(f"{where}: {said}")

    def _unauthorized(self, response: Response, used: str) -> Exception:
        """An access token may end before its time; one that never worked, or an API token, does not get better."""
        said = f"{response.where}: {_refusal(response)}"
        if not used:
            return PermanentError(f"{said}. Check {self._keys}.api_token.")
        with self._lock:
            if self._access is not None and self._access[0] == used:
                if used not in self._worked:
                    return PermanentError(f"{said}. A fresh access token was refused too: grant the app anew.")
                self._access = None
        return TryAgain("the access token is not valid any more")

    def _too_many(self, response: Response, said: str) -> Exception:
        day = _left_of_the_day(response.headers)
        remaining = response.headers.get("x-ratelimit-remaining")
        if day == 0 or (day is None and remaining is not None and remaining.strip() != "0"):
            return _spent(f"{response.where}: the company's daily token budget at Pipedrive is spent ({said})")
        wait = _number(response.headers.get("x-ratelimit-reset")) or retry_after(response.headers)
        return (_Unclear if day is None else TryAgain)(said, UNEXPLAINED_WAIT if wait is None else wait)

    def _learn(self, headers: Mapping[str, str]) -> None:
        """The burst limit that the server names is the one that counts."""
        limit = _number(headers.get("x-ratelimit-limit"))
        self._named = int(limit) if limit and limit >= 1 else self._named or self._burst


def _spent(message: str, latest: datetime | None = None) -> BudgetSpent:
    """Asking goes on at midnight, or at `latest`. Of which timezone's midnight the vendor does not say; if it is another's,
    asking then is refused once more."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, time_of_day.min, tzinfo=UTC)
    return BudgetSpent(message, min(midnight, latest or midnight))


def _left_of_the_day(headers: Mapping[str, str]) -> float | None:
    """What a header such as `x-daily-ratelimit-token-remaining` or `x-daily-requests-left` says; None without one."""
    counts = [
        _number(value)
        for name, value in headers.items()
        if name.lower().startswith("x-daily-") and name.lower().endswith(("-remaining", "-left"))
    ]
    return min((max(0.0, count) for count in counts if count is not None), default=None)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _is_json(response: Response) -> bool:
    return response.body.lstrip()[:1] == b"{"


def _said(response: Response) -> str:
    """The source's own words; nothing of a page that is none of its."""
    if not _is_json(response):
        return "no JSON"
    try:
        body = json_text.decode(response.body)
    except ValueError:
        return "no JSON"
    return response.quote(str(body.get("error") or body.get("message") or "no reason given"))


def _unsuccessful(response: Response, error: Any) -> PermanentError:
    """`success: false` with status 200."""
    said = response.naming_the_request(response.quote(str(error or "no reason given")))
    return PermanentError(f"{response.where}: the source answered {response.path} with: {said}")


def _refusal(response: Response) -> str:
    """What was answered to what, with the request's id where there is one."""
    return response.naming_the_request(f"HTTP {response.status} for {response.path}: {_said(response)}")
