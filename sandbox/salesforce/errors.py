"""Refusals in Salesforce's own words: a JSON list of `{message, errorCode}`."""

from collections.abc import Callable

import orjson
from starlette.responses import Response

JSON = "application/json;charset=UTF-8"


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def response(self) -> Response:
        """The answer."""
        return error(self.status, self.code, str(self))


def error(status: int, code: str, message: str) -> Response:
    """One error as Salesforce sends it."""
    return Response(orjson.dumps([{"message": message, "errorCode": code}]), status, media_type=JSON)


def login_faults() -> dict[str, Response]:
    """How the token endpoint words faults, by `kind:style`."""
    return {
        kind: Response(orjson.dumps({"error": code, "error_description": text}), status, media_type=JSON)
        for kind, (status, code, text) in LOGIN_FAULTS.items()
    }


def expired_session() -> Refusal:
    """Nobody knows the session, or not any more."""
    return Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")


def expired_cursor() -> Refusal:
    """The query locator is of no use any more."""
    return Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")


def not_found() -> Refusal:
    """No such address or object."""
    return Refusal(404, "NOT_FOUND", "The requested resource does not exist")


def limit_exceeded() -> Refusal:
    """The org has no calls left."""
    return Refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


OWN_FAULTS: dict[str, Callable[[], Refusal]] = {
    "401": expired_session,
    "expired": expired_session,
    "403:limit": limit_exceeded,
    "403:concurrent": lambda: Refusal(
        403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    ),
    "403:disabled": lambda: Refusal(403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner"),
    "503:disabled": lambda: Refusal(503, "API_CURRENTLY_DISABLED", "API is currently disabled"),
    "403:access": lambda: Refusal(403, "INSUFFICIENT_ACCESS", "insufficient access rights on object id"),
    "503": lambda: Refusal(503, "SERVER_UNAVAILABLE", "The server is temporarily unavailable"),
    "500": lambda: Refusal(
        500, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId: 1-2 (3)"
    ),
    "500:query_timeout": lambda: Refusal(400, "QUERY_TIMEOUT", "Your query request was running for too long."),
}
"""Fault kinds (`kind:style`) that Salesforce words itself. `503:html`, `429`, `403` and `html` stay a proxy's. The
second message of 500 and of 503 is INVENTED, and all of `503:disabled`."""

LOGIN_FAULTS = {
    "500:unknown": (400, "unknown_error", "retry your request"),
    "500:server": (500, "server_error", "internal error"),
    "429:login_rate": (400, "invalid_grant", "login rate exceeded"),
}
"""The same for the token endpoint: status, error and its description. INVENTED: no recording shows them."""
