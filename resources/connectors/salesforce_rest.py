"""Salesforce's REST API: logging in, asking, and what its answers and refusals mean.

What belongs here: the session that all threads share, the org's own limit, one request at a time. What does not: which
records are asked for (`salesforce_pages.py`), tables and fields (`salesforce.py`).
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import jwt
import msgspec

from resources.connectors import json_text
from resources.connectors.base import (
    BudgetSpent,
    MissingAtSource,
    NotPermitted,
    PermanentError,
    SourceError,
    TransientError,
)
from resources.http import HttpClient, Response
from resources.http_session import TryAgain, retry_after

log = logging.getLogger(__name__)

T = TypeVar("T")

TOKEN_PATH = "/services/oauth2/token"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS = 180
"""Salesforce takes assertions that end within five minutes; clocks differ."""

CLOCK_OFF_SECONDS = 60.0
"""If our clock is that far from Salesforce's, a refused assertion is tried again by theirs."""

REMEMBER_FAILED_LOGIN_SECONDS = 60.0
"""So long a failed login stands for all tables, instead of each of them trying the wrong secret again."""

LIMIT_RESUMES = timedelta(hours=1)
"""The org's limit counts the last 24 hours, so some of it is free again any time: ask again after so long."""

LIMIT_KNOWN_SECONDS = 900.0
"""So long what an answer said of the org's limit is believed."""

_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")
_PASSING = {
    "SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION", "REQUEST_RUNNING_TOO_LONG", "API_CURRENTLY_DISABLED",
}  # fmt: skip
_PASSING_STATUS = (429, 500, 502, 503, 504)
_PASSING_LOGIN = re.compile("unknown_error|temporarily_unavailable|api_currently_disabled|login rate exceeded")
"""A refused login's error or description, in small letters, that says nothing of who logs in."""


class SessionExpired(PermanentError):
    """Salesforce does not know the session any more."""


class CursorExpired(PermanentError):
    """The query locator is of no use any more: ask anew."""


class QueryTimeout(TransientError):
    """The query asks for too much at once."""


class FieldGone(PermanentError):
    """A field that was asked for is not there any more, or not for this user."""


@dataclass(frozen=True)
class Login:
    """Where and as whom to log in: with `client_secret` by client credentials, with `private_key` by a signed assertion for
    `username`. `keys`: the path of the source's block in `lake.yaml`."""

    url: str
    keys: str
    client_id: str
    client_secret: str = ""
    username: str = ""
    private_key: str = ""
    audience: str = "https://login.salesforce.com"

    def form(self, now: float) -> dict[str, str]:
        """What is posted. `now`: Unix time.

        Raises:
            PermanentError: the private key is none.
        """
        if not self.private_key:
            return {
                "grant_type": "client_credentials",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
            }
        claims = {
            "iss": self.client_id,
            "sub": self.username,
            "aud": self.audience,
            "exp": int(now) + ASSERTION_SECONDS,
        }
        try:
            # In an environment variable a key's lines are often joined by the two characters \n.
            assertion = jwt.encode(claims, self.private_key.replace("\\n", "\n"), "RS256")
        except (jwt.PyJWTError, ValueError, TypeError):
            # `from None`: the library's exception may show parts of the key.
            raise PermanentError(
                f"{self.keys}.private_key is not an RSA private key in PEM form (-----BEGIN PRIVATE KEY-----)."
            ) from None
        return {"grant_type": JWT_GRANT, "assertion": assertion}


@dataclass(frozen=True)
class Session:
    """A login that worked."""

    token: str
    instance: str


@dataclass(frozen=True)
class Batch:
    """One answer to a query. `records`: JSON texts, or dictionaries where the answer is not strictly JSON; `more`: the path
    of the next batch."""

    records: list[Any]
    more: str | None
    read_at: datetime


class _Envelope(msgspec.Struct, rename={"more": "nextRecordsUrl"}):
    records: list[msgspec.Raw]
    more: str | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class Rest:
    """One org. Safe to use from many threads.

    Parameters:
        version: of the API, e.g. `62.0`.
        share: of the org's own daily calls, used by anybody, at which we stop asking.
        page_size: records a batch, 200 to 2,000.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        http: HttpClient,
        login: Login,
        version: str,
        share: float,
        page_size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.http, self._login = http, login
        self._version = f"v{version}"
        self._share, self._clock = share, clock
        self._options = {"Sforce-Query-Options": f"batchSize={page_size}"}
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._failure: tuple[SourceError, float] | None = None
        self._usage: tuple[int, int, float] | None = None

    def session(self) -> Session:
        """The session that all threads share; logs in if there is none.

        Raises:
            SourceError: the login failed, now or a moment ago.
        """
        with self._lock:
            if self._session is not None:
                return self._session
            if self._failure is not None:
                failure, at = self._failure
                if self._clock() - at < REMEMBER_FAILED_LOGIN_SECONDS:
                    raise failure.__class__(str(failure)) from None
            try:
                self._session = self._log_in()
            except SourceError as error:
                self._failure = (error, self._clock())
                raise
            return self._session

    def describe(self, name: str, table: str) -> dict[str, Any]:
        """An object's fields, as Salesforce describes them.

        Raises:
            MissingAtSource: there is no such object, or not for this user.
        """
        return self._get(f"/sobjects/{quote(name)}/describe", table, name, _mapping)

    def objects(self) -> list[str]:
        """The names of all objects that this user sees."""
        return [str(entry["name"]) for entry in self._get("/sobjects", None, None, _mapping).get("sobjects", ())]

    def limits(self) -> dict[str, Any]:
        """What the org allows and what is left of it."""
        return self._get("/limits", None, None, _mapping)

    def query(self, soql: str, table: str, name: str) -> Batch:
        """The first batch of a query's result, what is in the recycle bin or archived included.

        Raises:
            QueryTimeout, FieldGone, MissingAtSource, NotPermitted, BudgetSpent.
        """
        return self._get(f"/queryAll?{query_string(soql)}", table, name, _batch)

    def more(self, path: str, table: str, name: str) -> Batch:
        """The batch at `Batch.more`.

        Raises:
            CursorExpired: Salesforce has closed the cursor.
        """
        prefix = f"/services/data/{self._version}"
        if not path.startswith(f"{prefix}/query"):
            raise PermanentError(f"{self.http.where(table)}: the server names an odd address for its next records.")
        return self._get(path.removeprefix(prefix), table, name, _batch)

    # -- asking --------------------------------------------------------------------------------------------------------

    def _get(
        self, path: str, table: str | None, name: str | None, parse: Callable[[Response], T], again: bool = True
    ) -> T:
        self._check_limit()
        session = self.session()

        def accepted(response: Response) -> T:
            self._note_usage(response.headers)
            if response.status != HTTPStatus.OK:
                self._refuse(response, name)
            return parse(response)

        headers = {"Authorization": f"Bearer {session.token}", "Accept": "application/json", **self._options}
        url = f"{session.instance}/services/data/{self._version}{path}"
        try:
            return self.http.fetch("GET", url, parse=accepted, table=table, headers=headers)
        except SessionExpired:
            with self._lock:
                # Many threads learn of it at once; the first of them to get here has the others log in anew.
                if self._session is session:
                    self._session = None
            if not again:
                raise
            log.info("%s: the session expired, logging in again", self.http.where(table), extra=self.http.names(table))
            return self._get(path, table, name, parse, again=False)

    def _note_usage(self, headers: Mapping[str, str]) -> None:
        found = _USAGE.search(headers.get("Sforce-Limit-Info", ""))
        if found:
            self._usage = (int(found[1]), int(found[2]), self._clock())

    def _check_limit(self) -> None:
        if self._usage is None:
            return
        used, allowed, at = self._usage
        if used >= self._share * allowed and self._clock() - at < LIMIT_KNOWN_SECONDS:
            raise self._spent(f"{used:,} of the {allowed:,} calls that the org may get in 24 hours are used")

    def _spent(self, why: str) -> BudgetSpent:
        message = f"{self.http.where()}: {why} (we stop at {self._share:.0%}; {self._login.keys}.org_limit_share)"
        return BudgetSpent(message, datetime.now(UTC) + LIMIT_RESUMES)

    # -- refusals ------------------------------------------------------------------------------------------------------

    def _refuse(self, response: Response, name: str | None) -> None:
        """Raise what an error answer means."""
        code, message = _error(response.body)
        said = response.naming_the_request(response.quote(f"{code}: {message}"))
        where = response.where
        if code == "INVALID_SESSION_ID":
            raise SessionExpired(f"{where}: Salesforce refuses a session that it has just given: {said}")
        if code == "REQUEST_LIMIT_EXCEEDED":
            if "Concurrent" in message:
                raise TryAgain(said)
            raise self._spent(f"the org's daily calls are used up: {said}")
        if code == "INVALID_QUERY_LOCATOR":
            raise CursorExpired(f"{where}: {said}")
        if code in ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE"):
            raise QueryTimeout(f"{where}: {said}. It asks for too much at once.")
        if code in _PASSING or (code and response.status in _PASSING_STATUS):
            raise TryAgain(said, retry_after(response.headers))
        if code == "INVALID_FIELD":
            raise FieldGone(f"{where}: {said}")
        if code in ("INVALID_TYPE", "NOT_FOUND") and name:
            raise MissingAtSource(
                f"{where}: the org has no object {name}, or this user does not see it: {said}. Give the user the right"
                f" to read it, or leave the table out in {self._login.keys}.tables."
            )
        if code.startswith("INSUFFICIENT_ACCESS"):
            raise NotPermitted(
                f"{where}: the user may not read it: {said}. Give the user that right, or leave the table out in"
                f" {self._login.keys}.tables."
            )
        if not code:
            response.raise_for_status()
        raise PermanentError(f"{where}: Salesforce refused the request with HTTP {response.status}, {said}")

    # -- login ---------------------------------------------------------------------------------------------------------

    def _log_in(self) -> Session:
        now = time.time()
        try:
            return self._post_login(now)
        except PermanentError:
            said = self.http.server_time()
            off = said is not None and abs(said.timestamp() - now) > CLOCK_OFF_SECONDS
            if said is None or not off or not self._login.private_key:
                raise
            # Our clock may be wrong, and an assertion is good for some minutes of Salesforce's.
            return self._post_login(said.timestamp())

    def _post_login(self, now: float) -> Session:
        login = self._login
        form = login.form(now)
        # Logging in is no call in the org's count.
        return self.http.fetch(
            "POST",
            login.url + TOKEN_PATH,
            data=urlencode(form).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            parse=self._logged_in,
            cost=0,
            secrets=tuple(form[name] for name in ("client_secret", "assertion") if name in form),
        )

    def _logged_in(self, response: Response) -> Session:
        keys = self._login.keys
        try:
            said = json_text.decode(response.body)
        except ValueError:
            said = None
        if isinstance(said, dict) and "error" in said:
            why = response.naming_the_request(response.quote(f"{said['error']}: {said.get('error_description', '')}"))
            if response.status in _PASSING_STATUS or _PASSING_LOGIN.search(why.lower()):
                raise TryAgain(f"the login failed with HTTP {response.status}, {why}", retry_after(response.headers))
            which = "username, private_key and audience" if self._login.private_key else "client_secret"
            raise PermanentError(
                f"{response.where}: Salesforce refused the login: {why}. Check {keys}.client_id, {which}, and that the"
                " connected app allows this flow."
            )
        response.raise_for_status()
        if not isinstance(said, dict) or not said.get("access_token"):
            raise TryAgain(
                f"{response.path} answered without an access token (is {keys}.url the org's My Domain address,"
                " https://<name>.my.salesforce.com?)"
            )
        instance = str(said.get("instance_url") or self._login.url).rstrip("/")
        return Session(str(said["access_token"]), instance)


def query_string(soql: str) -> str:
    """A query as it stands in the address: short, because the address has a greatest length."""
    return "q=" + quote(soql, safe="(),:'*=!").replace("%20", "+")


def _batch(response: Response) -> Batch:
    try:
        found = _decode_envelope(response.body)
        return Batch([bytes(record) for record in found.records], found.more, response.read_at)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        said = _mapping(response)
    records = said.get("records")
    if not isinstance(records, list):
        raise TryAgain(f"{response.path} answered without records")
    return Batch(records, said.get("nextRecordsUrl"), response.read_at)


def _mapping(response: Response) -> dict[str, Any]:
    try:
        said = json_text.decode(response.body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        kind = response.headers.get("Content-Type", "").partition(";")[0] or "something"
        raise TryAgain(f"{response.path} answered with {kind} that is no answer of Salesforce's")
    return said


def _error(body: bytes) -> tuple[str, str]:
    """errorCode and message of an error answer; empty if it is none."""
    try:
        said = json_text.decode(body)
    except ValueError:
        return "", ""
    first = said[0] if isinstance(said, list) and said else said
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("errorCode", "")), str(first.get("message", ""))
