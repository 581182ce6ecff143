"""What a Pipedrive webhook tells: which record was created, changed, merged or deleted.

Recorded messages are of version 1; version 2 names the same things differently. Pipedrive signs nothing: the user name and
password that a webhook was created with come as HTTP Basic, and the password is the secret.
"""

from collections.abc import Mapping
from typing import Any

from resources.connectors.base import Change
from resources.connectors.webhooks import numeric_id, read_json, require_token

TABLES = {
    "deal": "deals", "person": "persons", "organization": "organizations", "activity": "activities", "product": "products",
    "pipeline": "pipelines", "stage": "stages", "user": "users",
}  # fmt: skip
"""Pipedrive's word for what a message is about -> our table."""


def webhook(secret: str, headers: Mapping[str, str], body: bytes) -> list[Change]:
    """The records that a message is about; none if we do not read such. See `lake_config.SourceType.webhook`."""
    require_token(headers, secret)
    message = read_json(body)
    meta: Any = message.get("meta")
    if not isinstance(meta, dict):
        raise ValueError("no `meta` in the message")
    table = TABLES.get(str(meta.get("object") or meta.get("entity")))
    if table is None:
        return []
    # A merge is told of the record that stays; `previous` is the one that went.
    previous: Any = message.get("previous")
    # Version 2's `id` is the message's own.
    record_id = meta.get("entity_id") if "entity" in meta else meta.get("id")
    ids = [record_id, previous.get("id") if isinstance(previous, dict) else None]
    if not any(ids):
        raise ValueError("no id in the message")
    return list(dict.fromkeys(Change(table, numeric_id(record_id)) for record_id in ids if record_id))
