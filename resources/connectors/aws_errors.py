"""What an error answer of AWS means for a sync.

AWS's own sentence is passed on only where it says what to do; answers without an AWS request id are somebody else's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from resources.connectors.base import MissingAtSource, NotPermitted, PermanentError, TransientError
from resources.http_session import http_date, retry_after
from resources.http_words import quoted

_BAD_CREDENTIALS = {
    "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException", "MissingAuthenticationToken", "IncompleteSignatureException",
    "AuthFailure", "OptInRequired",
}  # fmt: skip
_CLOCK = ("signature expired", "signature not yet current")
"""How AWS's sentence begins where it refuses a signature for its time alone: more than 5 minutes from its own."""
_EXPIRED = {"ExpiredTokenException", "ExpiredToken", "RequestExpired"}
_THROTTLED = {"ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "Throttling", "SlowDown"}


class Gone(PermanentError):
    """AWS has no such record."""


class Invalid(PermanentError):
    """AWS does not take the request for this record, e.g. because of the state that the record is in."""


class TokenExpired(PermanentError):
    """A listing's token is no longer good: the listing begins anew."""


class CredentialsExpired(PermanentError):
    """The credentials are no longer good."""


class Throttled(TransientError):
    """AWS still refuses requests as too many: the quota of the day, perhaps."""


class TryAgain(Exception):
    """Worth another try that boto3 does not make. `wait`: seconds that the answer asks for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Asked:
    """What was asked when the error came. `where`: tenant, source and table; `keys`: the source's block in `lake.yaml`; `tries`:
    how often boto3 asked; `secrets`: what no message may show."""

    where: str
    operation: str
    keys: str
    tries: int
    secrets: tuple[str, ...] = ()


def meaning(response: Mapping[str, Any], asked: Asked) -> Exception:
    """The exception for an error answer.

    Parameters:
        response: of botocore's `ClientError`.
    """
    told, about = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, status, headers = told.get("Code", ""), about.get("HTTPStatusCode", 0), about.get("HTTPHeaders", {})
    request = about.get("RequestId") or headers.get("x-amzn-requestid")
    where = f"{asked.where}: {asked.operation}"
    said = f"{code}, HTTP {status}, AWS request {request or 'none'}"
    if code in _EXPIRED:
        return CredentialsExpired(f"{where}: the credentials have expired ({said}). Renew what {asked.keys} names.")
    sentence = quoted(str(told.get("Message", "")), asked.secrets)
    if code == "RequestTimeTooSkewed" or (code in _BAD_CREDENTIALS and sentence.lower().startswith(_CLOCK)):
        return PermanentError(
            f"{where}: this machine's clock is {_off(headers)}, and AWS takes no request signed so ({said}). Set the clock (NTP);"
            " the credentials are not the reason."
        )
    if code in _BAD_CREDENTIALS:
        return PermanentError(
            f"{where}: AWS does not accept the credentials ({said}). Check {asked.keys}.access_key_id and secret_access_key."
        )
    if code in _THROTTLED:
        return Throttled(
            f"{where}: throttled {asked.tries} times ({said}). The next sync tries again; or lower {asked.keys}.max_per_second."
        )
    if status == 429:
        return TryAgain(f"{asked.operation} was throttled ({said})", _wait(headers))
    if status >= 500:
        return TransientError(f"{where}: failed {asked.tries} times ({said}). The next sync tries again.")
    if request is None:
        return PermanentError(
            f"{where}: refused with HTTP {status}, and not by AWS: a proxy, or another address than AWS's."
        )
    if code.startswith("AccessDenied"):
        return NotPermitted(
            f"{where}: not permitted ({said}): {sentence}. Allow the action in the policy of the role or user."
        )
    if code == "ResourceNotFoundException":
        return Gone(f"{where}: there is no such record ({said})")
    if code == "UnknownOperationException":
        return MissingAtSource(f"{where}: this endpoint has no such operation ({said}).")
    if code == "ValidationException" and "token" in sentence.lower():
        return TokenExpired(f"{where}: a listing's token is not accepted ({said}).")
    kind = Invalid if code == "ValidationException" else PermanentError
    return kind(f"{where}: refused ({said}): {sentence}")


def _off(headers: Mapping[str, str]) -> str:
    theirs = http_date(headers.get("date"))
    if theirs is None:
        return "wrong"
    seconds = round((datetime.now(UTC) - theirs).total_seconds())
    return f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} AWS's"


def _wait(headers: Mapping[str, str]) -> float | None:
    return retry_after({"Retry-After": headers["retry-after"]}) if "retry-after" in headers else None
