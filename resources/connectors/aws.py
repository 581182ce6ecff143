"""AWS as connectors ask it: boto3 clients, credentials, retries, what a request costs, what errors mean.

What belongs here: everything that holds for any AWS service. What does not: operations, tables, records. boto3 retries by itself
("adaptive": it also slows down when it is throttled); every try is counted, paced and paid for, and the body of an answer is kept
as AWS wrote it, because boto3 drops what is null.
"""

import logging
import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, model_validator

from lake_config import HttpUrl, Secret, SourceSettings
from resources.budget import Budget
from resources.connectors import json_text
from resources.connectors.aws_errors import Asked, CredentialsExpired, TokenExpired, TryAgain, meaning
from resources.connectors.base import NotPermitted, PermanentError, TransientError, configured
from resources.connectors.remembered import Remembered
from resources.http import Usage
from resources.http_session import http_date, is_loopback
from resources.http_words import sent_secrets
from resources.pacing import Pace

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0
"""Seconds before the second try, and at the most, where boto3 does not try again by itself; in between they double."""

SAME_TOKEN_TIMES = 3
"""A listing that answers with the token that it was asked with so many times in a row does not end."""


class AwsSettings(SourceSettings):
    """What every source in AWS has."""

    region: str = "us-east-1"
    endpoint_url: HttpUrl | None = Field(
        None, description="where to ask instead of AWS itself: a stand-in, a VPC endpoint"
    )
    access_key_id: Secret | None = Field(
        None,
        description="with secret_access_key; without them boto3's own chain: environment, profile, role of the machine",
    )
    secret_access_key: Secret | None = None
    session_token: Secret | None = Field(None, description="of temporary credentials")
    profile: str | None = Field(None, description="of ~/.aws/config, e.g. one that assumes a role")
    tries: int = Field(6, ge=1, le=20, description="of one request")

    @model_validator(mode="after")
    def _both_or_neither(self) -> "AwsSettings":
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together")
        return self


@dataclass(frozen=True)
class Answer:
    """One answer. `body`: as AWS wrote it; `read_at`: when the request for it began, by this machine's clock, UTC."""

    body: bytes
    read_at: datetime

    def value(self) -> Any:
        """The body as Python values."""
        return json_text.decode(self.body)


class AwsAccount:
    """One AWS account, asked through boto3. Safe to use from many threads.

    Parameters:
        keys: the path of the source's block in `lake.yaml`, for messages.
        sleep, clock: for the waits that boto3 does not do itself; tests bring their own.
    """

    def __init__(
        self,
        tenant: str,
        source: str,
        settings: AwsSettings,
        budget: Budget | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tenant, self._source, self._settings = tenant, source, settings
        self.keys = f"tenants.{tenant}.sources.{source}"
        self._budget = budget or Budget(None, tenant, source)
        self._sleep, self._clock = sleep, clock
        self._pace = Pace(settings.max_per_second, clock, sleep)
        self._slots = threading.BoundedSemaphore(settings.max_in_flight)
        self._lock, self._first_ask = threading.Lock(), threading.Lock()
        self._no_time = Remembered(clock)
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._generation = 0
        self._usage: dict[str, Usage] = defaultdict(Usage)
        self._seen_time: tuple[datetime, float] | None = None
        self._call = threading.local()

    @property
    def at_once(self) -> int:
        """Requests that may be under way."""
        return self._settings.max_in_flight

    def where(self, table: str | None = None) -> str:
        """How messages name the place."""
        return f"tenant {self._tenant}, source {self._source}" + (f", table {table}" if table else "")

    def call(self, service: str, operation: str, table: str | None = None, **parameters: Any) -> Answer:
        """Ask one operation, given by its name in boto3 (`list_opportunities`), until there is an answer.

        Raises:
            Gone, TokenExpired, MissingAtSource, NotPermitted, PermanentError, TransientError, BudgetSpent.
        """
        renewed = False
        for attempt in range(1, self._settings.tries + 1):
            client, generation = self._client(service)
            try:
                with self._slots:
                    return self._ask(client, operation, table, parameters)
            except CredentialsExpired as error:
                if renewed:
                    raise PermanentError(str(error)) from None
                renewed = True  # a profile, a role or the environment may have newer ones by now
                self._forget(generation)
            except TryAgain as error:
                if attempt == self._settings.tries:
                    said = f"{self.where(table)}: {error}, after {attempt} tries. The next sync tries again."
                    raise TransientError(said) from None
                wait = (
                    error.wait
                    if error.wait is not None
                    else random.random() * min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)
                )
                log.warning("%s: try %d: %s; next in %.1f s", self.where(table), attempt, error, wait)
                self._sleep(wait)
        raise PermanentError(f"{self.where(table)}: the credentials expired again right after they were renewed")

    def listing(
        self,
        service: str,
        operation: str,
        table: str,
        token: tuple[str, str] = ("NextToken", "NextToken"),
        **parameters: Any,
    ) -> Iterator[Any]:
        """The pages of a listing as Python values. Entries may come twice: a listing whose token expires begins anew.

        Parameters:
            token: the members for it in the request and in the answer.
        """
        begun_anew = 0
        given: dict[str, Any] = {}
        same = 0
        while True:
            try:
                page = self.call(service, operation, table, **parameters, **given).value()
            except TokenExpired as error:
                if begun_anew == 2 or not given:
                    raise TransientError(
                        f"{error} It expired {begun_anew + 1} times; the next sync tries again."
                    ) from None
                begun_anew, given = begun_anew + 1, {}
                continue
            if not isinstance(page, dict):
                raise TransientError(f"{self.where(table)}: {operation} answered something else than an object")
            yield page
            following = page.get(token[1])
            if not following:
                return
            same = same + 1 if following == given.get(token[0]) else 0
            if same >= SAME_TOKEN_TIMES:
                raise TransientError(f"{self.where(table)}: {operation} answers the same page again and again")
            given = {token[0]: following}

    def server_time(self, ask: Callable[[], Any]) -> datetime:
        """AWS's clock now in whole seconds, never later than the truth: the latest answer's `Date` header and the time since.

        Parameters:
            ask: makes a request, if there was none yet; a refusal has the header, too.
        """
        with self._first_ask:  # tables that begin together need one answer
            if self._seen_time is None:
                with self._no_time.noting():
                    try:
                        ask()
                    except NotPermitted as error:
                        log.info("%s", error)
        with self._lock:
            seen = self._seen_time
        if seen is None:
            return datetime.now(UTC).replace(microsecond=0)
        return seen[0] + timedelta(seconds=math.floor(self._clock() - seen[1]))

    def usage(self, table: str | None = None) -> Usage:
        """What was asked for `table` so far, or altogether."""
        with self._lock:
            return self._usage[table] if table else sum(self._usage.values(), Usage())

    def close(self) -> None:
        """Give connections back, and what is left of the budget's portion."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients = {}
        self._budget.close()

    # -- clients ---------------------------------------------------------------------------------------------------------

    def _client(self, service: str) -> tuple[Any, int]:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service], self._generation

    def _new_client(self, service: str) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        # At DEBUG it writes whole requests, session tokens and signatures included.
        botocore_log = logging.getLogger("botocore")
        botocore_log.setLevel(max(logging.INFO, botocore_log.getEffectiveLevel()))
        settings = self._settings
        endpoint = configured(settings.endpoint_url, f"{self.keys}.endpoint_url") if settings.endpoint_url else None
        host = urlsplit(endpoint or "").hostname
        config = Config(
            retries={"mode": "adaptive", "total_max_attempts": settings.tries},
            connect_timeout=CONNECT_SECONDS,
            read_timeout=settings.timeout_seconds,
            max_pool_connections=settings.max_in_flight,
            user_agent_extra="revlake",
            # A proxy for the outside world must not stand between us and a server on this very machine.
            **({"proxies": {}} if host and is_loopback(host) else {}),
        )
        secrets = {
            name: configured(value, f"{self.keys}.{where}")
            for name, where, value in (
                ("aws_access_key_id", "access_key_id", settings.access_key_id),
                ("aws_secret_access_key", "secret_access_key", settings.secret_access_key),
                ("aws_session_token", "session_token", settings.session_token),
            )
            if value is not None
        }
        try:
            if self._session is None:
                self._session = _new_session(settings)
            client = self._session.client(service, endpoint_url=endpoint, config=config, **secrets)
        except BotoCoreError as error:
            raise PermanentError(f"{self.where()}: {_safe(error)} See {self.keys}.") from None
        client.meta.events.register("before-send", self._before_send)
        client.meta.events.register("before-parse", self._before_parse)
        return client

    def _forget(self, generation: int) -> None:
        """Resolve the credentials anew with the next request."""
        with self._lock:
            if generation == self._generation:
                self._generation += 1
                self._session, self._clients = None, {}

    def _before_send(self, request: Any, **_: Any) -> None:
        """Before each try, boto3's own retries included."""
        self._budget.spend(1)
        self._pace.wait()
        call = self._call
        call.tries = getattr(call, "tries", 0) + 1
        call.read_at = datetime.now(UTC)
        call.secrets = sent_secrets(request.headers)

    def _before_parse(self, response_dict: dict[str, Any], **_: Any) -> None:
        self._call.body = response_dict["body"]
        seen = http_date(response_dict["headers"].get("date"))
        if seen is not None:
            with self._lock:
                self._seen_time = (seen, self._clock())

    # -- one request -----------------------------------------------------------------------------------------------------

    def _ask(self, client: Any, operation: str, table: str | None, parameters: dict[str, Any]) -> Answer:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            CredentialRetrievalError,
            HTTPClientError,
            NoCredentialsError,
            PartialCredentialsError,
            TokenRetrievalError,
        )
        from botocore.parsers import ResponseParserError

        call = self._call
        call.tries, call.body, call.secrets = 0, b"", ()
        begin = self._clock()
        try:
            getattr(client, operation)(**parameters)
            if not _is_object(call.body):
                raise TryAgain(
                    f"{operation} was answered with something that is no whole JSON object (cut, or a proxy's page)"
                )
            return Answer(call.body, call.read_at)
        except ClientError as error:
            asked = Asked(self.where(table), operation, self.keys, call.tries, call.secrets)
            raise meaning(error.response, asked) from None
        except ResponseParserError:
            raise TryAgain(f"{operation} was answered with something that is no JSON (a proxy's page?)") from None
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError) as error:
            raise PermanentError(
                f"{self.where(table)}: no usable AWS credentials: {_safe(error)}. Set {self.keys}.access_key_id and"
                f" secret_access_key, or a profile, or give this machine a role."
            ) from None
        except HTTPClientError as error:
            raise TransientError(
                f"{self.where(table)}: {operation}: no complete answer after {call.tries} tries: {type(error).__name__}. The next"
                " sync tries again; if this stays, see whether AWS is reachable from here."
            ) from None
        except BotoCoreError as error:
            raise PermanentError(f"{self.where(table)}: {operation} cannot be asked: {_safe(error)}") from None
        except ValueError as error:  # a body that is no text at all
            raise TryAgain(f"{operation} was answered with something unreadable ({type(error).__name__})") from None
        finally:
            used = Usage(call.tries, max(0, call.tries - 1), len(call.body), self._clock() - begin)
            with self._lock:
                self._usage[table or ""] += used


@cache
def _service_models() -> Any:
    """Service models as botocore reads them from its files, once in a process instead of once a connector."""
    import botocore.loaders

    return botocore.loaders.create_loader()


def _new_session(settings: AwsSettings) -> Any:
    import boto3.session
    import botocore.session

    session = botocore.session.Session(profile=settings.profile)
    session.register_component("data_loader", _service_models())
    return boto3.session.Session(botocore_session=session, region_name=settings.region)


def _is_object(body: bytes) -> bool:
    """Whether an answer came whole. botocore takes a cut body, and a page of HTML, for an answer with nothing in it."""
    try:
        return body.lstrip()[:1] == b"{" and bool(msgspec.json.decode(body, type=msgspec.Raw))
    except msgspec.MsgspecError:
        pass
    try:
        return isinstance(json_text.decode(body), dict)
    except ValueError:
        return False


def _safe(error: Exception) -> str:
    """botocore's own words about configuration; they name keys and files, not their values."""
    return " ".join(str(error).split())[:300]
