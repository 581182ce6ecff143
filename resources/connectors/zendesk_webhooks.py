"""What a Zendesk webhook tells: which record changed.

Two kinds come: event subscriptions, whose body is Zendesk's, and webhooks that a trigger or automation calls, whose body the
administrator writes; for those we ask for `{"table": "tickets", "id": "{{ticket.id}}"}`. Both are signed: the base64 of
HMAC-SHA256, with the webhook's signing secret, over timestamp and body.
"""

import re
from collections.abc import Mapping

from resources.connectors.base import Change
from resources.connectors.webhooks import numeric_id, read_json, require_signature

TABLES = {
    "ticket": "tickets", "messaging_ticket": "tickets", "user": "users", "organization": "organizations", "group": "groups",
}  # fmt: skip
"""Zendesk's word in `zen:event-type:ticket.created` -> our table."""
_EVENT = re.compile(r"zen:event-type:(\w+)\.\w+")


def webhook(secret: str, headers: Mapping[str, str], body: bytes) -> list[Change]:
    """The record that a message is about; none if we do not read such. See `lake_config.SourceType.webhook`."""
    signature = headers.get("x-zendesk-webhook-signature", "")
    require_signature(signature, headers.get("x-zendesk-webhook-signature-timestamp", ""), body, secret)
    message = read_json(body)
    if event := _EVENT.fullmatch(str(message.get("type"))):
        table = TABLES.get(event[1])
        detail = message.get("detail")
        record_id = detail.get("id") if isinstance(detail, dict) else None
    else:
        table, record_id = message.get("table"), message.get("id")
        if not isinstance(table, str) or table not in TABLES.values():
            raise ValueError(
                f"neither an event of Zendesk's nor a `table` out of {', '.join(dict.fromkeys(TABLES.values()))}"
            )
    if table is None:
        return []
    if not record_id:
        raise ValueError("no id in the message")
    return [Change(table, numeric_id(record_id))]
