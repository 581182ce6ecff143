"""One company account: its tables, its login, its limits, and what writing to it does."""

import hashlib
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from sandbox.clock import Clock, parse_moment
from sandbox.collection import Collection, Record
from sandbox.pipedrive.fields import ENTITIES, STANDARD, definition, definitions, fields_entity
from sandbox.pipedrive.limits import Limits
from sandbox.pipedrive.lists import stored
from sandbox.pipedrive.login import Login
from sandbox.pipedrive.table import LIVE, Table, deal_part

OBJECTS = ("deals", "persons", "organizations", "activities", "products", "pipelines", "stages", "users")
DELETED_DAYS = 30
"""How long a deleted deal is still served."""


class Changes:
    """Which records of which object were created, changed and deleted."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, set[Any]]] = defaultdict(
            lambda: {"created": set(), "updated": set(), "deleted": set()}
        )

    def note(self, entity: str, what: str, record_id: int | str) -> None:
        """A record was `created`, `updated` or `deleted`. One that comes and goes in between is not told at all."""
        sets = self._known[entity]
        if what == "deleted":
            if record_id not in sets["created"]:
                sets["deleted"].add(record_id)
            sets["created"].discard(record_id)
            sets["updated"].discard(record_id)
        elif what == "created" or record_id not in sets["created"]:
            sets[what].add(record_id)
            sets["deleted"].discard(record_id)

    def describe(self) -> dict[str, dict[str, list[Any]]]:
        """Object -> what happened -> ids."""
        return {
            entity: {what: sorted(ids) for what, ids in sets.items()} for entity, sets in sorted(self._known.items())
        }


class Account:
    """A tenant's Pipedrive."""

    def __init__(self, tenant: str, clock: Clock) -> None:
        self.tenant, self.clock = tenant, clock
        self.login, self.limits = Login(tenant, clock), Limits()
        self.tables = {
            name: Table(name, **({"part": deal_part} if name == "deals" else {}), modified_key="update_time")
            for name in OBJECTS
            if name != "users"
        }
        self.tables["users"] = Table("users", lambda user: LIVE, "modified")  # nobody is deleted, only deactivated
        self.fields: dict[str, Collection] = {}
        for entity in STANDARD:
            collection = self.fields[fields_entity(entity)] = Collection(fields_entity(entity), "field_code")
            for record in definitions(tenant, entity):
                collection.put(record)
        self.lived_until = clock.start

    def entity_of_fields(self, name: str) -> str:
        """deal_fields -> deals."""
        return next(entity for entity in STANDARD if fields_entity(entity) == name)

    # -- writing -----------------------------------------------------------------------------------------------------

    def create(self, entity: str, record: Record, moment: datetime, changes: Changes | None = None) -> int:
        """Add a record: an empty one of its object, filled with what is given and stamped."""
        table = self.tables[entity]
        number = int(record.get("id") or table.next_id)
        if number >= table.next_id and number < 2**31:
            table.next_id = number + 1
        new = self.blank(entity, stored(moment)) | record | {"id": number}
        if "custom_fields" in new:
            empty = {row["field_code"]: None for row in self.custom_fields(entity)}
            new["custom_fields"] = empty | (record.get("custom_fields") or {})
        table.put(new)
        if changes:
            changes.note(entity, "created", number)
        return number

    def update(
        self, entity: str, record_id: int, values: Record, moment: datetime, changes: Changes | None = None
    ) -> None:
        """Change a record and stamp it, unless `values` brings its own stamp."""
        table = self.tables[entity]
        old = table.collection.rows[record_id]
        stamp = table.modified_key
        new = old | {stamp: users_time(moment) if entity == "users" else stored(moment)} | values
        if "custom_fields" in values and "custom_fields" in old:
            new["custom_fields"] = (old["custom_fields"] or {}) | (values["custom_fields"] or {})
        if values.get("is_archived") and not old.get("is_archived"):
            new["archive_time"] = values.get("archive_time", stored(moment))
        if "stage_id" in values and values["stage_id"] != old.get("stage_id"):
            new["stage_change_time"] = stored(moment)
        table.put(new)
        if changes:
            changes.note(entity, "updated", record_id)

    def delete(self, entity: str, record_id: int, moment: datetime, changes: Changes | None = None) -> None:
        """Delete as Pipedrive does: the record is marked, and only deals are still served."""
        values: Record = {"active_flag": False} if entity == "users" else {"is_deleted": True}
        if entity == "deals":
            values["status"] = "deleted"
        self.update(entity, record_id, values, moment)
        if changes:
            changes.note(entity, "updated" if entity == "users" else "deleted", record_id)

    def purge(self, now: datetime) -> None:
        """Forget deals that were deleted more than 30 days ago."""
        deals = self.tables["deals"]
        oldest = stored(now - timedelta(days=DELETED_DAYS))
        for row in [row for row in deals if row["is_deleted"] and row["update_time"] < oldest]:
            deals.remove(row["id"])

    def blank(self, entity: str, stamp: str) -> Record:
        """A record of which only the stamps are known."""
        record: Record = dict.fromkeys(STANDARD.get(entity, ()))
        record |= {"is_deleted": False, "add_time": stamp, "update_time": stamp}
        if entity in ENTITIES:
            record |= {"custom_fields": {}, "visible_to": 3}
        if entity == "deals":
            first_stage = min(self.tables["stages"].collection.rows, default=1)
            record |= {"title": "", "status": "open", "is_archived": False, "label_ids": [], "stage_id": first_stage}
            record |= {"pipeline_id": 1, "currency": "EUR", "origin": "API", "stage_change_time": stamp}
        elif entity == "persons":
            record |= {"name": "", "emails": [], "phones": [], "label_ids": []}
        elif entity == "users":
            return {"name": "", "created": users_time(parse_moment(stamp)), "modified": users_time(parse_moment(stamp))}
        return record

    # -- fields ------------------------------------------------------------------------------------------------------

    def custom_fields(self, entity: str) -> list[Record]:
        """The custom fields of an object."""
        return [row for row in self.fields[fields_entity(entity)] if row["is_custom_field"]]

    def put_field(self, entity: str, record: Record, changes: Changes | None = None) -> str:
        """Add a field (no code, or an unknown one; an old record has no value of it) or patch one. No stamp moves."""
        name = fields_entity(entity)
        collection = self.fields[name]
        text = f"{self.tenant}/{entity}/{record.get('field_name')}/{len(collection)}"
        code = record.get("field_code") or hashlib.sha1(text.encode()).hexdigest()
        old = collection.rows.get(code)
        if old is None:
            new = definition(
                code, record["field_name"], record.get("field_type", "varchar"), True, record.get("options")
            )
            collection.put(new | record | {"field_code": code})
        else:
            collection.put(old | record)
        if changes:
            changes.note(name, "created" if old is None else "updated", code)
        return code

    def remove_field(self, entity: str, code: str) -> None:
        """Delete a field; records keep what they hold until they are written again."""
        self.fields[fields_entity(entity)].remove(code)


def users_time(moment: datetime) -> str:
    """A moment as v1 shows it."""
    return stored(moment).replace("T", " ").removesuffix("Z")
