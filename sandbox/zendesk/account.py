"""One tenant's Zendesk: its tables, and how its records are written and deleted."""

import base64
from collections import defaultdict
from datetime import datetime

from sandbox.context import Context
from sandbox.world import World
from sandbox.zendesk import records, seed
from sandbox.zendesk.limits import Limits
from sandbox.zendesk.seed import ENTITIES, unix
from sandbox.zendesk.table import Record, Table

TICKETS = 600
"""At scale 1."""
_MAKE = {
    "tickets": records.ticket, "users": records.user, "organizations": records.organization, "groups": records.group,
    "ticket_fields": records.ticket_field, "ticket_forms": records.ticket_form,
}  # fmt: skip
LOGINS = {"admin@skyfit.example": "admin", "agent@skyfit.example": "agent"}
"""Who may log in, and as what. The API token is `sandbox-token`, an OAuth token `<role>-oauth`."""
TOKEN = "sandbox-token"


class Account:
    """Everything of one tenant."""

    def __init__(self, tenant: str, context: Context) -> None:
        options, clock = context.options, context.clock
        self.tenant, self.clock = tenant, clock
        self.base = f"https://{tenant}.zendesk.com/api/v2"
        self.world = World(tenant, options.seed, max(10, round(60 * options.scale)))
        self.tables = {name: Table(name) for name in ENTITIES}
        self.story = seed.Story(
            self.world, clock.start, options.amount(TICKETS), self.base, self.tables, context.identities
        )
        self.story.fill()
        self.limits = Limits(lambda: clock.now().timestamp())
        self.lived_until: datetime = clock.start
        self._ids: dict[str, int] = {}
        self.changes: dict[str, dict[str, list[int]]] = _no_changes()
        """What happened since `take_changes`."""

    def now(self) -> int:
        """The account's time, Unix seconds."""
        return int(self.clock.now().timestamp())

    def take_changes(self) -> dict[str, dict[str, list[int]]]:
        """Per object the ids created, updated and deleted since the last call; one created and moved counts as created."""
        answer = {}
        for entity, kinds in self.changes.items():
            created, deleted = list(dict.fromkeys(kinds["created"])), list(dict.fromkeys(kinds["deleted"]))
            updated = [number for number in dict.fromkeys(kinds["updated"]) if number not in {*created, *deleted}]
            answer[entity] = {"created": created, "updated": updated, "deleted": deleted}
        self.changes = _no_changes()
        return answer

    # -- writing -------------------------------------------------------------------------------------------------------

    def create(self, entity: str, values: Record, moment: int) -> int:
        """A new record; its id, unless `values` has one, is the next."""
        table = self.tables[entity]
        record_id = values.get("id") or self._next_id(entity)
        if entity == "ticket_metric_events":
            record: Record = records.metric_event(record_id, 1, "reply_time", "activate", moment) | values
        else:
            record = _MAKE[entity](
                self.base, record_id, moment, moment, **{k: v for k, v in values.items() if k != "id"}
            )
        table.put(record, self._stamp(entity, record, moment), self._listed(entity, record))
        self.changes[entity]["created"].append(record_id)
        if entity == "tickets":
            self.event(record_id, "requester_wait_time", "activate", moment)
        return record_id

    def update(self, entity: str, record_id: int, values: Record, moment: int) -> None:
        """Patch a record, stamped `moment` unless `values` says otherwise."""
        table = self.tables[entity]
        record = table.get(record_id)
        stamps = {"updated_at": records.iso(moment)} if "updated_at" in record else {}
        if entity == "tickets":
            stamps["generated_timestamp"] = moment  # type: ignore[assignment]
            if "custom_fields" in values:
                stamps["fields"] = values["custom_fields"]
            if values.get("status") in records.STATUS_IDS:
                stamps["custom_status_id"] = records.STATUS_IDS[values["status"]]  # type: ignore[assignment]
        record |= stamps | values
        table.put(record, self._stamp(entity, record, moment), self._listed(entity, record))
        self.changes[entity]["updated"].append(record_id)

    def delete(self, entity: str, record_id: int, moment: int) -> None:
        """As the system deletes: tickets, users, organizations and groups stay, marked; fields and forms go."""
        marks: Record = {
            "tickets": {"status": "deleted"}, "users": {"active": False}, "groups": {"deleted": True},
            "organizations": {"deleted_at": records.iso(moment)},
        }.get(entity, {})  # fmt: skip
        if entity == "tickets":
            self._bury(record_id, moment)
        if marks:
            self.update(entity, record_id, marks, moment)
        else:
            self.tables[entity].remove(record_id)
        self.changes[entity]["deleted"].append(record_id)

    def event(self, ticket_id: int, metric: str, kind: str, moment: int) -> None:
        """Something happened to a metric of a ticket."""
        event = records.metric_event(self._next_id("ticket_metric_events"), ticket_id, metric, kind, moment)
        self.tables["ticket_metric_events"].put(event, moment)
        self.changes["ticket_metric_events"]["created"].append(event["id"])

    def change(self, entity: str, put: list[Record], delete: list[int]) -> list[int]:
        """What a test wants changed, now."""
        moment, ids = self.now(), []
        for values in put:
            if (record_id := values.get("id")) in self.tables[entity].texts:
                self.update(entity, record_id, values, moment)  # type: ignore[arg-type]
                ids.append(record_id)
            else:
                ids.append(self.create(entity, values, moment))
        for record_id in delete:
            self.delete(entity, record_id, moment)
        self.take_changes()
        return ids

    def _bury(self, record_id: int, moment: int) -> None:
        old = self.tables["tickets"].get(record_id)
        grave = {
            "id": record_id, "subject": old["subject"], "actor": {"id": seed.AGENTS[0], "name": "Agent 0"},
            "deleted_at": records.iso(moment), "previous_state": old["status"],
        }  # fmt: skip
        self.tables["deleted_tickets"].put(grave, moment)

    def _stamp(self, entity: str, record: Record, moment: int) -> int:
        """By what the exports order the record."""
        if entity == "tickets":
            return record["generated_timestamp"]
        text = record.get("time" if entity == "ticket_metric_events" else "updated_at")
        return unix(text) if text else moment

    def is_there(self, entity: str, record_id: int) -> bool:
        """Whether it can be read by its id: it is not deleted, though it may be archived."""
        record = self.tables[entity].get(record_id)
        return record.get("status") != "deleted" and not record.get("deleted_at")

    @staticmethod
    def _listed(entity: str, record: Record) -> bool:
        gone = (
            record.get("status") == "deleted" if entity == "tickets"
            else not record.get("active", True) if entity == "users"
            else bool(record.get("deleted") or record.get("deleted_at"))
        )  # fmt: skip
        return not gone

    def _next_id(self, entity: str) -> int:
        """Above the known ones, the few huge ones aside."""
        if entity not in self._ids:
            below = 2**31 if entity == "tickets" else seed.HUGE
            self._ids[entity] = max(
                (number for number in self.tables[entity].texts if number < below), default=records.BASE_ID
            )
        self._ids[entity] += 1
        return self._ids[entity]

    def role(self, authorization: str) -> str | None:
        """Who an `Authorization` header stands for: admin, agent, or nobody."""
        kind, _, rest = authorization.partition(" ")
        if kind.lower() == "bearer":
            return next((role for role in LOGINS.values() if rest == f"{role}-oauth"), None)
        user, _, token = _decoded(rest).partition(":")
        name, slash, _ = user.rpartition("/token")
        return LOGINS.get(name) if slash and token == TOKEN and kind.lower() == "basic" else None


def _no_changes() -> dict[str, dict[str, list[int]]]:
    return defaultdict(lambda: {"created": [], "updated": [], "deleted": []})


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""
