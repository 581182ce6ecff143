"""Pipedrive's envelopes: how it says yes and how it says no.

The wording of 400 is from an issue of the vendor's own client (client-nodejs#651), 401 and 404 from its OpenAPI
description, 403 and 429 from its page of status codes. INVENTED: the text of a spent budget, and which headers come
with it.
"""

from typing import Any

import orjson
from starlette.responses import Response

Record = dict[str, Any]

CLOUDFLARE = """<!DOCTYPE html>
<html lang="en-US"><head><title>Access denied | api.pipedrive.com used Cloudflare to restrict access</title></head>
<body><h1>Error 1015</h1><p>You are being rate limited</p><p>The owner of this website has banned you temporarily from accessing
this website.</p><footer>Cloudflare Ray ID: 8f00c0ffee15dead</footer></body></html>
"""


def answer(body: Any, status: int = 200) -> Response:
    """Any value as JSON."""
    return Response(orjson.dumps(body), status, media_type="application/json; charset=utf-8")


def found(data: Any, additional: Record | None = None) -> Response:
    """Success."""
    return answer({"success": True, "data": data, "additional_data": additional})


def page(texts: list[bytes], next_cursor: str | None) -> Response:
    """A page of records that are serialised already."""
    cursor = orjson.dumps({"next_cursor": next_cursor})
    body = b'{"success":true,"data":[' + b",".join(texts) + b'],"additional_data":' + cursor + b"}"
    return Response(body, media_type="application/json; charset=utf-8")


def invalid(problem: str) -> Response:
    """400 of v2: `problem` is `<parameter>: <what is wrong>`."""
    return answer(
        {"success": False, "error": f"Validation failed: {problem}", "code": "ERR_SCHEMA_VALIDATION_FAILED"}, 400
    )


def unauthorized() -> Response:
    """No token, or one that nobody has."""
    return answer({"success": False, "error": "unauthorized access", "errorCode": 401}, 401)


def expired_token() -> Response:
    """An access token that does not hold any more."""
    return answer({"success": False, "error": "Invalid token: access_token is invalid", "errorCode": 401}, 401)


def wrong_scope() -> Response:
    """An access token that may not read this."""
    return answer({"success": False, "error": "Scope and URL mismatch", "errorCode": 403}, 403)


def banned() -> Response:
    """Who goes on asking through 429 with an API token meets the front proxy."""
    return Response(CLOUDFLARE, 403, media_type="text/html; charset=UTF-8")


def not_found() -> Response:
    """404 of v2."""
    body = {"success": False, "error": "Entity was not found", "error_info": "Object was not found."}
    return answer({**body, "data": None, "additional_data": None}, 404)


def no_such_method() -> Response:
    """404 for an address that is not there (v1 lists that were switched off among them). INVENTED wording."""
    return answer({"success": False, "error": "Unknown method .", "errorCode": 404}, 404)


def over_burst(limit: int = 40, reset: int = 2) -> Response:
    """429: too many requests within two seconds."""
    response = answer({"success": False, "error": "Request over limit", "errorCode": 429}, 429)
    response.headers.update(burst_headers(limit, 0, reset))
    return response


def over_budget(limit: int = 40, remaining: int = 39) -> Response:
    """429: the company's tokens of the day are spent; burst requests are left. `limit` 0: there is none."""
    body = {"success": False, "error": "Daily API token budget exceeded", "errorCode": 429}
    response = answer({**body, "error_info": "The budget resets at midnight of the server's timezone."}, 429)
    if limit:
        response.headers.update(burst_headers(limit, remaining, 2))
    return response


def server_error(status: int) -> Response:
    """A 5xx of Pipedrive's own (INVENTED wording)."""
    return answer({"success": False, "error": "Internal Server Error", "errorCode": status}, status)


def burst_headers(limit: int, remaining: int, reset: int) -> dict[str, str]:
    """`reset`: seconds until the rolling window has room again, or is empty."""
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(reset),
    }
