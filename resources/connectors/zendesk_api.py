"""Zendesk's REST API over our HTTP client: how one logs in, what an answer holds, what a refusal means.

What belongs here: one request. What does not: which request follows (`zendesk_exports`).
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from resources.connectors import json_text
from resources.connectors.base import MissingAtSource, NotPermitted, PermanentError
from resources.http import HttpClient, Response
from resources.http_session import TryAgain, may_pass, retry_after

MINUTE = 60.0
"""Zendesk counts requests by the minute."""

RESET_HEADERS = ("ratelimit-reset", "rate-limit-reset")
"""Seconds until the count begins anew; the first since 2024, the second before."""


class CursorRefused(PermanentError):
    """Zendesk does not take this cursor (any more)."""


class LoginFailed(PermanentError):
    """Zendesk does not know who asks."""


@dataclass
class Answer:
    """One page. What an address does not answer is None or False."""

    records: Sequence[dict[str, Any] | bytes]
    """JSON texts; dictionaries where the answer was not strictly JSON."""
    read_at: datetime
    after_cursor: str | None = None
    end_of_stream: bool = False
    end_time: int | None = None
    has_more: bool = False
    by_time: bool = True
    """The records come in the order in which they changed."""


class _Meta(msgspec.Struct):
    has_more: bool = False
    after_cursor: str | None = None


@dataclass(frozen=True)
class Login:
    """How requests say who asks."""

    header: str

    @staticmethod
    def with_api_token(username: str, token: str) -> "Login":
        """An e-mail address and one of the account's API tokens."""
        text = f"{username.removesuffix('/token')}/token:{token}"
        return Login(f"Basic {base64.b64encode(text.encode()).decode()}")

    @staticmethod
    def with_oauth_token(token: str) -> "Login":
        """A token from an OAuth client."""
        return Login(f"Bearer {token}")


class Api:
    """One account.

    Parameters:
        url: where it answers, without `/api/v2`.
        exports_per_minute: of all incremental exports together.
    """

    def __init__(self, http: HttpClient, url: str, login: Login, exports_per_minute: int) -> None:
        self.http, self._url, self._login = http, f"{url.rstrip('/').removesuffix('/api/v2')}/api/v2", login
        self._exports = http.rate_limit("exports", exports_per_minute, MINUTE)

    def page(self, table: str, path: str, key: str, **params: str | int) -> Answer:
        """Ask for a page of records.

        Parameters:
            table: for messages and counters.
            path: behind `/api/v2/`; one of an export counts as such.
            key: the member of the answer that the records are in.
            params: of the address; `page_size` and `page_after` are `page[size]` and `page[after]`.

        Raises:
            CursorRefused: there is a cursor, and it is not taken.
            MissingAtSource, NotPermitted, PermanentError, TransientError, BudgetSpent.
        """
        return self._ask(table, path, params, lambda response: _page(response, key))

    def value(self, path: str) -> Any:
        """Ask for something that is no table."""
        return self._ask(None, path, {}, _value)

    def _ask(self, table: str | None, path: str, params: Mapping[str, Any], read: Callable[[Response], Any]) -> Any:
        export = path.startswith("incremental/")
        cursor = "cursor" in params or "page_after" in params
        named = {
            f"page[{name.removeprefix('page_')}]" if name.startswith("page_") else name: str(value)
            for name, value in params.items()
        }

        def parse(response: Response) -> Any:
            if response.status != 200:
                raise self._refused(response, export, cursor)
            return read(response)

        return self.http.fetch(
            "GET", f"{self._url}/{path}.json", parse=parse, table=table, params=named,
            headers={"Authorization": self._login.header, "Accept": "application/json"},
            limit=self._exports if export else None,
        )  # fmt: skip

    def _refused(self, response: Response, export: bool, cursor: bool) -> Exception:
        """What another status than 200 means."""
        status, said = response.status, _said(response)
        if status == 429:
            return TryAgain(said, _pause(response.headers, export))
        if status == 409 or may_pass(status):
            return TryAgain(said, retry_after(response.headers))
        page = "html" in response.headers.get("Content-Type", "") and bool(response.body.strip())
        if page and status >= 400:
            return PermanentError(
                f"{response.where}: {said}: a web page instead of the API's answer. Something between here and Zendesk refuses "
                "the request, or `url` is not the account's address (https://<subdomain>.zendesk.com)."
            )
        if status == 401:
            return LoginFailed(
                f"{response.where}: {said}: the login failed. See whether the API token is active (Admin Center, Apps and "
                "integrations, APIs) and belongs to `username`; an OAuth token may have expired."
            )
        if status == 403:
            why = (
                "incremental exports are for admins"
                if export
                else "the user's role or the account's plan does not allow it"
            )
            return NotPermitted(f"{response.where}: {said}: {why}.")
        if status == 404:
            return MissingAtSource(
                f"{response.where}: {said}: the account does not have it; its plan may be too small."
            )
        if status in (400, 422) and cursor:
            return CursorRefused(f"{response.where}: {said}")
        if status < 400:
            try:
                response.raise_for_status()
            except (TryAgain, PermanentError) as error:
                return error
        return PermanentError(f"{response.where}: {said}: Zendesk refuses the request.")


def _said(response: Response) -> str:
    """Status, path, request id and the server's own words, without credentials."""
    words = " ".join(response.body.decode(errors="replace").split())
    if "html" in response.headers.get("Content-Type", ""):
        words = ""
    else:
        try:
            error = msgspec.json.decode(response.body)
            words = _words(error) or words
        except msgspec.MsgspecError:
            pass
    words = response.quote(words)
    return response.naming_the_request(f"HTTP {response.status} for {response.path}" + (f" ({words})" if words else ""))


def _words(error: Any) -> str:
    """The two forms of Zendesk's errors: `{error, description}`, and `{error: {title, message}}`."""
    if not isinstance(error, dict):
        return ""
    name = error.get("error")
    if isinstance(name, dict):
        return f"{name.get('title', '')}: {name.get('message', '')}".strip(": ")
    return f"{name or ''}: {error.get('description') or ''}".strip(": ")


def _pause(headers: Mapping[str, str], export: bool) -> float:
    """Seconds to wait after a 429: as it says, or until the count begins anew, or a minute if it says neither."""
    if (asked := retry_after(headers)) is not None:
        return asked
    for name in RESET_HEADERS:
        # The count that these tell of is the account's; that of exports may begin anew later.
        if not export and headers.get(name, "").isdecimal():
            return float(headers[name])
    return MINUTE


def _page(response: Response, key: str) -> Answer:
    try:
        found = _envelope(key).decode(response.body)
        records, rest = [bytes(item) for item in found.records], found
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        whole = _value(response)
        try:
            rest = msgspec.convert({**whole, key: []}, _envelope(key).type)
            records = list(whole[key])
        except (msgspec.ValidationError, TypeError, KeyError):
            raise TryAgain(f"the answer for {response.path} has no list {key!r}") from None
    meta = rest.meta or _Meta()
    cursor = rest.after_cursor or meta.after_cursor
    return Answer(records, response.read_at, cursor, bool(rest.end_of_stream), rest.end_time, meta.has_more)


def _value(response: Response) -> Any:
    try:
        return json_text.decode(response.body)
    except ValueError:
        kind = response.headers.get("Content-Type", "of no type").partition(";")[0]
        raise TryAgain(f"the answer for {response.path} is no JSON ({kind})") from None


@cache
def _envelope(key: str) -> msgspec.json.Decoder[Any]:
    """Decodes a page, its records as texts."""
    return msgspec.json.Decoder(
        msgspec.defstruct(
            "Envelope",
            [
                ("records", list[msgspec.Raw], msgspec.field(name=key)),
                ("after_cursor", str | None, None),
                ("end_of_stream", bool | None, None),
                ("end_time", int | None, None),
                ("meta", _Meta | None, None),
            ],
        )
    )
