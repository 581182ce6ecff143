"""How requests to AWS are signed and how refusals look: Signature Version 4, the error envelopes of awsJson and rest-json.

Who may do what, and what is answered, is decided elsewhere.
"""

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.aws.services import Violation, models

ACCESS_KEY_ID = "podium-sandbox-key"
SECRET_ACCESS_KEY = "podium-sandbox-secret"
"""The one pair of keys that this server knows."""

_STATUS = {"InternalServerException": 500, "InternalServiceException": 500, "ServiceUnavailableException": 503}
_FORBIDDEN = ("UnrecognizedClientException", "InvalidSignatureException", "MissingAuthenticationTokenException",
              "ExpiredTokenException")  # fmt: skip


class Refused(Exception):
    """AWS would answer with this error."""

    def __init__(self, code: str, message: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.violations = code, message, tuple(violations)


def invalid(field: str, message: str, code: str = "INVALID_VALUE") -> Refused:
    """A ValidationException about one field."""
    return Refused("ValidationException", message, [Violation(field, message, code)])


@dataclass(frozen=True)
class Answer:
    """A body, and how many records are in it."""

    body: bytes
    rows: int = 1


def respond(service: str, body: bytes, status: int = 200, error: str | None = None) -> Response:
    """A body with the headers of the service's protocol."""
    rest = service in models() and models()[service].metadata["protocol"] == "rest-json"
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    if error and rest:
        headers["x-amzn-ErrorType"] = error
    return Response(body, status, headers, media_type="application/json" if rest else "application/x-amz-json-1.0")


def refuse(service: str, refused: Refused) -> Response:
    """The error in the envelope of the service's protocol, with the members that the service's model gives it."""
    model = models().get(service)
    rest = model is not None and model.metadata["protocol"] == "rest-json"
    code = refused.code
    if rest and code == "InternalServerException":
        code = "InternalServiceException"
    names: Any = () if model is None else model.shape_names
    known: Any = model.shape_for(code) if model is not None and code in names else None
    body: dict[str, Any] = {} if rest else {"__type": f"{_namespace(service)}#{code}"}
    lower = known is not None and "message" in known.members
    body["message" if lower else "Message"] = refused.message
    if known is not None:
        body |= _details(known, refused)
    status = _STATUS.get(code, 403 if rest and code in _FORBIDDEN else 400)
    if rest and known is not None:
        status = known.metadata.get("error", {}).get("httpStatusCode", status)
    return respond(service, orjson.dumps(body), status, code)


def _namespace(service: str) -> str:
    return f"com.amazonaws.{service.replace('-', '')}" if service else "com.amazon.coral.service"


def _details(shape: Any, refused: Refused) -> dict[str, Any]:
    """Which fields are wrong, in the words of this service."""
    body: dict[str, Any] = {}
    reason = next((name for name in ("Reason", "reason") if name in shape.members), None)
    if reason is not None and refused.code == "ValidationException":
        known = shape.members[reason].enum
        body[reason] = next(
            word for word in ("REQUEST_VALIDATION_FAILED", "fieldValidationFailed", "INVALID_FILTERS") if word in known
        )
    listed = next((name for name in ("ErrorList", "FieldList", "fields") if name in shape.members), None)
    if listed is not None:
        members = shape.members[listed].member.members
        words = {"FieldName": "field", "Name": "field", "name": "field", "Message": "message", "message": "message",
                 "Code": "code"}  # fmt: skip
        body[listed] = [{name: getattr(one, words[name]) for name in members} for one in refused.violations]
    return body


def authenticate(request: Request, body: bytes) -> None:
    """Check who signed the request, and the signature itself.

    Raises:
        Refused: nobody, an unknown key, or with another secret.
    """
    kind, _, rest = request.headers.get("authorization", "").partition(" ")
    if kind != "AWS4-HMAC-SHA256":
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    key, *scope = parts.get("Credential", "").split("/")
    if key != ACCESS_KEY_ID or len(scope) != 4:
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if not hmac.compare_digest(
        _signature(request, body, parts.get("SignedHeaders", ""), scope), parts.get("Signature", "")
    ):
        raise Refused(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
            "and signing method. Consult the service documentation for details.",
        )


def _signature(request: Request, body: bytes, signed: str, scope: list[str]) -> str:
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed.split(";"))
    query = parse_qsl(request.url.query, keep_blank_values=True)
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query)
    canonical = "\n".join(
        (request.method, quote(request.scope["raw_path"].decode(), safe="/-_.~"), "&".join(f"{n}={v}" for n, v in pairs),
         headers, signed, hashlib.sha256(body).hexdigest())
    )  # fmt: skip
    moment = request.headers.get("x-amz-date", "")
    text = "\n".join(("AWS4-HMAC-SHA256", moment, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{SECRET_ACCESS_KEY}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
