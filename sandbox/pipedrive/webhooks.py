"""The JSON body that Pipedrive would POST for a change of a record.

v1 has the shape of the recorded ones (2018): `v`, `meta`, `current`, `previous`, `event`, `retry`. v2 follows the
vendor's guide (`meta`, `data`, `previous` with the changed fields only). INVENTED: the ids in `meta`, and that v1
carries v2's field names where the two differ in more than times, `user_id`, custom fields at the root and the flags.
"""

import hashlib
from datetime import datetime
from typing import Any

from sandbox.collection import Record
from sandbox.pipedrive.account import Account, users_time

COMPANY_ID = 1820179
_V1_ACTIONS = {"create": "added", "change": "updated", "delete": "deleted"}
_SINGULAR = {"activities": "activity"}


def body(account: Account, entity: str, record_id: int, action: str, version: int) -> Record:
    """`action`: create, change or delete."""
    table = account.tables[entity]
    current = table.collection.rows[record_id]
    previous = table.previous.get(record_id, current) if action != "create" else None
    singular = _SINGULAR.get(entity, entity.removesuffix("s"))
    now = account.clock.now()
    if version == 1:
        return _v1(account, singular, current, previous, action, now)
    changed = None if previous is None else {
        name: value for name, value in previous.items() if action == "delete" or value != current.get(name)
    }  # fmt: skip
    event = hashlib.md5(f"{entity}/{record_id}/{action}/{current.get('update_time')}".encode()).hexdigest()
    event = f"{event[:8]}-{event[8:12]}-{event[12:16]}-{event[16:20]}-{event[20:]}"
    return {
        "meta": {
            "action": action, "entity": singular, "company_id": str(COMPANY_ID), "correlation_id": event,
            "entity_id": str(record_id), "id": event, "is_bulk_edit": False,
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z", "type": "general",
            "user_id": str(_actor(current)), "version": "2.0", "webhook_id": "13311", "webhook_owner_id": str(_actor(current)),
            "change_source": "app", "attempt": 1, "host": f"{account.tenant}.pipedrive.com",
            "permitted_user_ids": [str(user) for user in account.tables["users"].collection.rows],
        },
        "data": None if action == "delete" else current, "previous": changed,
    }  # fmt: skip


def _actor(record: Record) -> Any:
    return record.get("owner_id") or record.get("creator_user_id") or record.get("id")


def _v1(
    account: Account, singular: str, current: Record, previous: Record | None, action: str, now: datetime
) -> Record:
    word = _V1_ACTIONS[action]
    return {
        "v": 1, "matches_filters": {"current": []},
        "meta": {
            "v": 1, "action": word, "object": singular, "id": current["id"], "company_id": COMPANY_ID, "user_id": _actor(current),
            "host": f"{account.tenant}.pipedrive.com", "timestamp": int(now.timestamp()),
            "timestamp_micro": int(now.timestamp() * 1_000_000),
            "permitted_user_ids": list(account.tables["users"].collection.rows),
            "trans_pending": False, "is_bulk_update": False, "pipedrive_service_name": False,
            "matches_filters": {"current": []}, "webhook_id": "13311",
        },
        "current": None if action == "delete" else _old_names(current),
        "previous": None if previous is None else _old_names(previous), "event": f"{word}.{singular}", "retry": 0,
    }  # fmt: skip


def _old_names(record: Record) -> Record:
    """A record of v2 under the names of v1."""
    old = {name: value for name, value in record.items() if name != "custom_fields"}
    for name, value in old.items():
        if name.endswith("_time") and isinstance(value, str) and value.endswith("Z"):
            old[name] = users_time(datetime.fromisoformat(value.replace("Z", "+00:00")))
    if "owner_id" in old and "status" in old:
        old["user_id"] = old.pop("owner_id")
    if "visible_to" in old:
        old["visible_to"] = str(old["visible_to"])
    if "is_deleted" in old:
        gone = old.pop("is_deleted")
        old |= {"active": not gone, "deleted": gone} if "status" in old else {"active_flag": not gone}
    for code, value in (record.get("custom_fields") or {}).items():
        old |= _old_custom(code, value)
    return old


def _old_custom(code: str, value: Any) -> Record:
    """v1 spreads a custom field's parts over keys at the root."""
    if isinstance(value, dict):
        return {code: value.get("value")} | {f"{code}_{part}": item for part, item in value.items() if part != "value"}
    if isinstance(value, list):
        return {code: ",".join(map(str, value))}
    return {code: value}
