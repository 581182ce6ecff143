"""The token endpoint: client credentials, JWT bearer, and the refusals of both.

Whether an assertion is still good is judged by the machine's own clock and not by the sandbox's, which may be days
away. The wording of refusals is INVENTED where facts/salesforce.md names none.
"""

import base64
import binascii
import time
from urllib.parse import parse_qsl, unquote_plus

import jwt
import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.salesforce.errors import JSON
from sandbox.salesforce.org import Org

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LONGEST_ASSERTION_SECONDS = 300
AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")


async def token(org: Org, request: Request) -> tuple[Response, bool]:
    """Answer a login; also whether it was refused."""
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    try:
        _judge(org, request, form)
    except _Refused as refused:
        body = {"error": refused.args[0], "error_description": refused.args[1]}
        return Response(orjson.dumps(body), 400, media_type=JSON), True
    instance = str(request.base_url).rstrip("/") + f"/salesforce/{org.tenant}"
    user = f"{instance}/id/{org.organization}/{org.integration_user}"
    said = {
        "access_token": org.log_in(), "signature": "c2lnbmF0dXJl", "scope": "api", "instance_url": instance, "id": user,
        "token_type": "Bearer", "issued_at": str(int(org.clock.now().timestamp() * 1000)),
    }  # fmt: skip
    return Response(orjson.dumps(said), media_type=JSON), False


class _Refused(Exception):
    pass


def _judge(org: Org, request: Request, form: dict[str, str]) -> None:
    grant = form.get("grant_type", "")
    if grant == "client_credentials":
        client_id, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
        if client_id != org.client_id:
            raise _Refused("invalid_client_id", "client identifier invalid")
        if secret != org.client_secret:
            raise _Refused("invalid_client", "invalid client credentials")
    elif grant == JWT_GRANT:
        _assertion(org, request, form.get("assertion", ""))
    else:
        raise _Refused("unsupported_grant_type", "grant type not supported")


def _basic(request: Request) -> tuple[str, str] | None:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


def _assertion(org: Org, request: Request, assertion: str) -> None:
    own = str(request.base_url).rstrip("/") + f"/salesforce/{org.tenant}"
    audiences = [*AUDIENCES, own]
    options = {"require": ["iss", "sub", "aud", "exp"]}
    for key in org.public_keys:
        try:
            claims = jwt.decode(assertion, key, algorithms=["RS256"], audience=audiences, options=options)  # type: ignore[arg-type]
        except jwt.ExpiredSignatureError:
            raise _Refused("invalid_grant", "expired authorization code") from None
        except jwt.InvalidAudienceError:
            raise _Refused("invalid_grant", "audience is invalid") from None
        except jwt.InvalidTokenError:
            continue
        if claims["exp"] > time.time() + LONGEST_ASSERTION_SECONDS + 5:
            raise _Refused("invalid_grant", "assertion expires too late")
        if claims["iss"] != org.client_id:
            raise _Refused("invalid_client_id", "client identifier invalid")
        if claims["sub"] != org.username:
            raise _Refused("invalid_grant", "user hasn't approved this consumer")
        return
    raise _Refused("invalid_grant", "invalid assertion")
