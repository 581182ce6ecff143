"""A record as a request wants it: with fields that are only there on demand, fewer custom fields, or labels in place
of options.
"""

from collections import Counter, defaultdict
from typing import Any

import orjson

from sandbox.collection import Record
from sandbox.pipedrive.account import Account
from sandbox.pipedrive.lists import Query

_DEALS = (
    "next_activity_id", "last_activity_id", "first_won_time", "products_count", "files_count", "notes_count", "followers_count",
    "email_messages_count", "activities_count", "done_activities_count", "undone_activities_count", "participants_count",
    "last_incoming_mail_time", "last_outgoing_mail_time", "smart_bcc_email",
)  # fmt: skip
_RELATED = (
    "next_activity_id", "last_activity_id", "open_deals_count", "related_open_deals_count", "closed_deals_count",
    "related_closed_deals_count", "email_messages_count", "activities_count", "done_activities_count",
    "undone_activities_count", "files_count", "notes_count", "followers_count", "won_deals_count", "related_won_deals_count",
    "lost_deals_count", "related_lost_deals_count",
)  # fmt: skip
INCLUDE = {
    "deals": _DEALS,
    "persons": (*_RELATED, "participant_open_deals_count", "participant_closed_deals_count", "last_incoming_mail_time",
                "last_outgoing_mail_time", "marketing_status", "doi_status"),
    "organizations": (*_RELATED, "people_count"),
    "activities": ("attendees",),
}  # fmt: skip
"""What `include_fields` may name. There is no mail, no file and no note in here, so their counts are 0 and their times null."""
_REFERENCE = {"deals": "deal_id", "persons": "person_id", "organizations": "org_id"}


def text(account: Account, entity: str, record_id: int, query: Query) -> bytes:
    """One record's JSON."""
    table = account.tables[entity]
    if not query.include and query.custom is None and not query.option_labels:
        return table.text(record_id)
    record = dict(table.collection.rows[record_id])
    if query.include:
        record |= _extras(account, entity, record_id, query.include)
    custom = record.get("custom_fields")
    if custom and query.custom is not None:
        custom = record["custom_fields"] = {code: custom.get(code) for code in query.custom if code in custom}
    if custom and query.option_labels:
        record["custom_fields"] = _labelled(account, entity, custom)
    return orjson.dumps(record)


def _labelled(account: Account, entity: str, custom: Record) -> Record:
    options = {field["field_code"]: field["options"] for field in account.custom_fields(entity) if field["options"]}
    labelled = dict(custom)
    for code, known in options.items():
        labels = {option["id"]: option["label"] for option in known}
        value = custom.get(code)
        if isinstance(value, list):
            labelled[code] = [{"id": number, "label": labels.get(number)} for number in value]
        elif value is not None:
            labelled[code] = {"id": value, "label": labels.get(value)}
    return labelled


def _extras(account: Account, entity: str, record_id: int, names: tuple[str, ...]) -> Record:
    """Counted over all records: these fields are asked for rarely, and then a page at a time."""
    if entity == "activities":
        return {"attendees": account.tables["activities"].collection.rows[record_id].get("attendees")}
    reference = _REFERENCE[entity]
    activities = [row for row in _linked(account, "activities", reference, record_id) if not row["is_deleted"]]
    undone = sorted((row for row in activities if not row["done"]), key=lambda row: row["due_date"] or "")
    done = sorted((row for row in activities if row["done"]), key=lambda row: row["due_date"] or "")
    known: dict[str, Any] = {
        "activities_count": len(activities), "done_activities_count": len(done), "undone_activities_count": len(undone),
        "next_activity_id": undone[0]["id"] if undone else None, "last_activity_id": done[-1]["id"] if done else None,
    }  # fmt: skip
    if entity == "deals":
        deal = account.tables["deals"].collection.rows[record_id]
        known["first_won_time"] = deal["won_time"]
        known["smart_bcc_email"] = f"{account.tenant}+deal{record_id}@pipedrivemail.com"
        known["participants_count"] = int(deal["person_id"] is not None)
    else:
        states = Counter(row["status"] for row in _linked(account, "deals", reference, record_id))
        for state, number in (("open", states["open"]), ("won", states["won"]), ("lost", states["lost"])):
            known[f"{state}_deals_count"] = number
        known["closed_deals_count"] = states["won"] + states["lost"]
        if entity == "organizations":
            known["people_count"] = len(_linked(account, "persons", "org_id", record_id))
    return {name: known.get(name, 0 if name.endswith("_count") else None) for name in names}


def _linked(account: Account, entity: str, reference: str, record_id: int) -> list[Record]:
    """The records of an object that refer to one of another; listed once, until that object changes."""
    table = account.tables[entity]
    rows, cached = table.collection.rows, table.linked.get(reference)
    if cached is None:
        cached = table.linked[reference] = defaultdict(list)
        for row in rows.values():
            cached[row[reference]].append(row["id"])
    return [rows[number] for number in cached.get(record_id, ())]
