"""What our messages may repeat of an answer: words without credentials, and the request's id.

What belongs here: how credentials look in what is sent, and how servers name a request. What does not: what an answer
means.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

LONGEST_QUOTE = 300
"""Characters of a server's words that we repeat."""

SECRET_HEADERS = {"authorization", "proxy-authorization", "x-api-token", "x-amz-security-token"}

REQUEST_ID_HEADERS = (
    "x-request-id", "x-zendesk-request-id", "x-sfdc-request-id", "x-amzn-requestid", "x-amz-request-id",
    "x-correlation-id", "cf-ray",
)  # fmt: skip
"""From the application's own to that of what stands before it."""

LONGEST_ID = 100


def sent_secrets(headers: Mapping[str, Any]) -> tuple[str, ...]:
    """The credentials among a request's headers, and what Basic authentication wraps."""
    found: list[str] = []
    for name, value in headers.items():
        if name.lower() not in SECRET_HEADERS:
            continue
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        scheme, _, rest = text.strip().partition(" ")
        found.append(rest.strip() or scheme)
        if scheme.lower() == "basic":
            found.append(_password(rest))
    return tuple(filter(None, found))


def quoted(text: str, secrets: Iterable[str]) -> str:
    """A server's words, fit for one line of a message: without `secrets` in any form that they may be echoed in, and
    cut only after that, because half a credential is not recognized any more."""
    words = " ".join(text.split())
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        words = words.replace(form, "***")
    return words if len(words) <= LONGEST_QUOTE else words[:LONGEST_QUOTE] + "..."


def request_id(headers: Mapping[str, str]) -> str:
    """What the server calls the request; empty where no header names it."""
    known = {name.lower(): value for name, value in headers.items()}
    found = next((known[name] for name in REQUEST_ID_HEADERS if known.get(name)), "")
    return " ".join(found.split())[:LONGEST_ID]


def _password(encoded: str) -> str:
    try:
        pair = base64.b64decode(encoded).decode()
    except (binascii.Error, ValueError):
        return ""
    # An OAuth client's secret comes as it is; Zendesk's API token stands behind `<e-mail>/token:`.
    return pair.partition(":")[2]


def _forms(secret: str) -> set[str]:
    plain = " ".join(secret.split())
    return {plain, quote(plain, safe=""), quote_plus(plain), plain.replace("/", "\\/")} if plain else set()
