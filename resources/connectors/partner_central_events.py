"""What an EventBridge event of Partner Central tells: which opportunity, invitation or engagement changed.

A rule on `{"source": ["aws.partnercentral-selling"]}` with an API destination posts them, with the secret as API key
(`x-api-key`), password or token. Events are a hint: AWS delivers them "best effort", and the record itself is read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from resources.connectors.base import Change
from resources.connectors.webhooks import read_json, require_token

SOURCE = "aws.partnercentral-selling"
TABLES = {"O": "opportunities", "engi-": "leads", "eng-": "engagements"}
"""How an id begins -> the table that the record is in."""

_ID = re.compile(r"(O(?=\d)|engi-|eng-)[0-9a-z]{1,19}")


def webhook(secret: str, headers: Mapping[str, str], body: bytes) -> list[Change]:
    """The records whose ids the event names, bare or at the end of an ARN. See `lake_config.SourceType.webhook`."""
    require_token(headers, secret)
    message = read_json(body)
    if "source" not in message or "detail" not in message:
        raise ValueError("no event of EventBridge: it has neither source nor detail")
    if message["source"] != SOURCE:
        return []
    found: dict[Change, None] = {}
    for text in _texts([message["detail"], message.get("resources")]):
        if known := _ID.fullmatch(text.rpartition("/")[2]):
            found[Change(TABLES[known[1]], known[0])] = None
    return list(found)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
