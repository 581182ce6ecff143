"""A server that repeats what it was sent: no message and no log line shows a credential of it."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest

from resources.connectors.aws import AwsAccount
from resources.connectors.base import SourceError
from resources.connectors.partner_central import PartnerCentralSource
from resources.connectors.pipedrive import PipedriveConnector, PipedriveSource
from resources.connectors.salesforce_rest import Login as SalesforceLogin
from resources.connectors.salesforce_rest import Rest
from resources.connectors.zendesk_api import Api, Login
from resources.http import HttpClient, RetryPolicy
from resources.http_words import LONGEST_QUOTE, quoted, sent_secrets
from tests.connectors.scripted_server import Answer, Asked, serving

KEPT = "kept/by+us"
"""What configuration holds; percent-encoded in a form."""
GIVEN = "00Dgiven!at.run-time"
"""What the server gave out when it was asked."""
GRANT = json.dumps({"access_token": GIVEN, "expires_in": 3600}).encode()


def http() -> HttpClient:
    return HttpClient("northwind", "crm", retry=RetryPolicy(tries=2), sleep=lambda _: None)


def pipedrive(url: str, **login: str) -> Callable[[], Any]:
    options = PipedriveSource.model_validate({"url": url, **login})
    return PipedriveConnector("crm", options, "northwind", http()).check


def pipedrive_app(url: str) -> Callable[[], Any]:
    return pipedrive(url, client_id="app", client_secret=KEPT, refresh_token=f"{KEPT}2", token_url=f"{url}/token")


def salesforce(url: str) -> Callable[[], Any]:
    return Rest(http(), SalesforceLogin(url, "keys", "app", KEPT), "62.0", 1.0, 200).limits


def zendesk(login: Login) -> Callable[[str], Callable[[], Any]]:
    return lambda url: lambda: Api(http(), url, login, 10).value("users/me")


def aws(url: str) -> Callable[[], Any]:
    options = PartnerCentralSource.model_validate(
        {
            "type": "partner_central", "endpoint_url": url, "access_key_id": "AKIA", "secret_access_key": "s",
            "session_token": KEPT, "tries": 1,
        }
    )  # fmt: skip
    account = AwsAccount("northwind", "crm", options)
    return lambda: account.call("partnercentral-selling", "list_opportunities", Catalog="AWS")


CONNECTORS: dict[str, Callable[[str], Callable[[], Any]]] = {
    "pipedrive": lambda url: pipedrive(url, api_token=KEPT),
    "pipedrive by OAuth": pipedrive_app,
    "salesforce": salesforce,
    "zendesk": zendesk(Login.with_api_token("me@northwind.example", KEPT)),
    "zendesk by OAuth": zendesk(Login.with_oauth_token(KEPT)),
    "aws": aws,
}


def echo(asked: Asked, status: int) -> Answer:
    """Everything that was sent, Basic credentials opened, in each member that some vendor's error has."""
    basic = asked.headers.get("Authorization", "")
    opened = base64.b64decode(basic[6:]).decode() if basic.startswith("Basic ") else ""
    names = ("x-api-token", "X-Amz-Security-Token", "Authorization")  # first, or the cut would hide them
    said = f"{opened} {[asked.headers.get(name) for name in names]} {asked.body.decode()} {asked.headers}"
    body = {"success": False, "errorCode": "BAD", "error": said, "message": said, "description": said, "Message": said}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", "x-amzn-requestid": "r-1"})


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
@pytest.mark.parametrize("at_login", [False, True])
@pytest.mark.parametrize("connector", CONNECTORS.values(), ids=CONNECTORS)
def test_what_a_server_echoes_shows_no_credential(
    connector: Callable[[str], Callable[[], Any]], at_login: bool, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(200, GRANT) if asked.path.endswith("/token") and not at_login else echo(asked, status)

    caplog.set_level("DEBUG", logger="resources")
    with serving(answer) as server:
        shown = failure(connector(server.url)) + caplog.text
    for secret in (KEPT, GIVEN):
        for form in (secret, quote_plus(secret), base64.b64encode(f"app:{secret}".encode()).decode()):
            assert form not in shown


def failure(ask: Callable[[], Any]) -> str:
    """What the error says; nothing if there is none."""
    try:
        ask()
    except SourceError as error:
        return str(error)
    return ""


BY_HTTP = {name: CONNECTORS[name] for name in ("pipedrive", "pipedrive by OAuth", "salesforce", "zendesk")}


@pytest.mark.parametrize(
    "header", ["X-Request-Id", "x-zendesk-request-id", "X-SFDC-Request-Id", "cf-ray", "x-amzn-RequestId"]
)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>sign in</html>"), (302, b""), (400, b'{"error":"no"}'),
        (403, b"<html>"), (404, b"{}"), (429, b"<html>"), (500, b'{"error":"no"}'), (503, b"<html>"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("connector", BY_HTTP.values(), ids=BY_HTTP)
def test_what_fails_names_the_request_once(
    connector: Callable[[str], Callable[[], Any]], status: int, body: bytes, header: str
) -> None:
    kind = "text/html" if body.startswith(b"<") else "application/json"
    failed = Answer(status, body, {"Content-Type": kind, header: "8f00-FRA"})
    login = Answer(200, GRANT)
    with serving(lambda asked: login if asked.path.endswith("/token") else failed) as server:
        assert failure(connector(server.url)).count("8f00-FRA") == 1


def test_a_refused_login_names_the_request() -> None:
    refused = Answer(400, b'{"error":"invalid_grant"}', {"X-Request-Id": "8f00-FRA"})
    with serving([refused]) as server:
        for connector in (pipedrive_app, salesforce):
            with pytest.raises(SourceError, match=r"\(request 8f00-FRA\)"):
                connector(server.url)()


def test_a_credential_at_the_cut_is_not_shown_in_part() -> None:
    said = quoted("x " * (LONGEST_QUOTE // 2 - 3) + "s3cret-of-many-letters", ["s3cret-of-many-letters"])
    assert said.endswith("***")


def test_credentials_are_found_in_headers_however_they_are_written() -> None:
    basic = base64.b64encode(b"app:pass:word").decode()
    assert sent_secrets({"authorization": f"Basic {basic}"}) == (basic, "pass:word")
    assert sent_secrets({"AUTHORIZATION": "bearer t0ken", "X-Api-Token": b"t1"}) == ("t0ken", "t1")
    assert sent_secrets({"Authorization": "Basic no-base64", "Accept": "application/json"}) == ("no-base64",)
