"""What connectors share to check that a webhook comes from whom it says. Comparisons take the same time wherever they differ."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from resources.connectors.base import WebhookRefused

MAX_AGE_SECONDS = 300
"""A signed message older than this may be somebody's copy of an earlier one."""


def require_token(headers: Mapping[str, str], secret: str) -> None:
    """The secret must come as a Basic password, a Bearer token or an `x-api-key`.

    Parameters:
        headers: names in lower case.

    Raises:
        WebhookRefused: it does not.
    """
    kind, _, value = headers.get("authorization", "").partition(" ")
    given = headers.get("x-api-key", "")
    if kind.lower() == "bearer":
        given = value.strip()
    elif kind.lower() == "basic":
        try:
            given = base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            given = ""
    if not hmac.compare_digest(given.encode(), secret.encode()):
        raise WebhookRefused("the token is missing or wrong")


def require_signature(given: str, timestamp: str, body: bytes, secret: str) -> None:
    """`given` must be the base64 of HMAC-SHA256 over timestamp and body (as Zendesk signs), and the timestamp recent.

    Raises:
        WebhookRefused: it is not.
    """
    expected = base64.b64encode(hmac.new(secret.encode(), timestamp.encode() + body, hashlib.sha256).digest())
    if not hmac.compare_digest(given.encode(), expected):
        raise WebhookRefused("the signature is missing or wrong")
    try:
        moment = datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
    except ValueError:
        raise WebhookRefused("the signature's timestamp is not readable") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if abs((datetime.now(UTC) - moment).total_seconds()) > MAX_AGE_SECONDS:
        raise WebhookRefused(f"the signature is more than {MAX_AGE_SECONDS // 60} minutes old")


def read_json(body: bytes) -> dict[str, Any]:
    """The message.

    Raises:
        ValueError: it is not a JSON object.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(message, dict):
        raise ValueError("the body is not a JSON object")
    return message


def numeric_id(value: object) -> str:
    """A record's id as text.

    Raises:
        ValueError: it is no number of at most 20 digits; it would go on into addresses of the source's.
    """
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise ValueError("the id in the message is not a number")
    return text
