"""One tenant's org: its tables, who is logged in, what is left of its limits, which cursors are open, what is in the
recycle bin."""

import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox.clock import Clock
from sandbox.collection import Record
from sandbox.salesforce.ids import checked
from sandbox.salesforce.objects import OBJECTS, parse_field
from sandbox.salesforce.soql import wire
from sandbox.salesforce.table import Table

SESSION_LIFE = timedelta(hours=2)
BIN_LIFE = timedelta(days=15)
CURSOR_LIFE = timedelta(minutes=15)
"""Without being asked."""
CURSORS = 10
"""Open at once for one user; the oldest goes when another one opens."""
DAY = timedelta(hours=24)


def second(moment: datetime) -> str:
    """A stamp as records have it: whole seconds."""
    return wire(moment.replace(microsecond=0))


@dataclass
class Cursor:
    """A query's result that is being read: the records as they were, and how many of them go into a batch."""

    table: Table
    records: list[Record]
    columns: tuple[str, ...]
    batch: int
    used: datetime


class Org:
    """The org of one tenant, as yet without records."""

    def __init__(self, tenant: str, clock: Clock) -> None:
        self.tenant, self.clock = tenant, clock
        self.tables = {name: Table(name) for name in OBJECTS}
        self._by_lower = {name.lower(): table for name, table in self.tables.items()}
        self._by_entity = {table.entity: table for table in self.tables.values()}
        self.client_id, self.client_secret = f"3MVG9{tenant}", f"{tenant}-secret"
        self.username = f"integration@{tenant}.example"
        self.organization = checked("00D5g0000000001")
        self.integration_user = ""
        self.public_keys: list[str] = []
        self._sessions: dict[str, datetime] = {}
        self.session_life = SESSION_LIFE
        self.daily_requests = 108_000
        self._used: deque[tuple[datetime, int]] = deque()
        self._total_used = 0
        self.cursors_allowed = CURSORS
        self._cursors: OrderedDict[str, Cursor] = OrderedDict()
        self._cursor_number = self._request_number = 0
        self.deleted_at: dict[tuple[str, str], datetime] = {}
        self.lived_until = clock.start

    def table(self, name: str) -> Table | None:
        """The object of this name, in any case, if the user may see it."""
        table = self._by_lower.get(name.lower())
        return table if table and table.visible else None

    def of_entity(self, name: str) -> Table:
        """The object by its snake_case or its own name, seen or not."""
        return self._by_entity.get(name) or self._by_lower[name.lower()]

    # -- sessions ------------------------------------------------------------------------------------------------------

    def log_in(self) -> str:
        """A new session's id."""
        session = f"{self.organization[:15]}!{secrets.token_urlsafe(72)}"
        self._sessions[session] = self.clock.now() + self.session_life
        return session

    def is_logged_in(self, session: str) -> bool:
        """Whether the session lives."""
        ends = self._sessions.get(session)
        return ends is not None and self.clock.now() < ends

    def end_sessions(self) -> None:
        """Everybody has to log in again."""
        self._sessions.clear()

    # -- limits --------------------------------------------------------------------------------------------------------

    def used_requests(self) -> int:
        """Calls of the last 24 hours, counted by the minute."""
        oldest = self.clock.now() - DAY
        while self._used and self._used[0][0] <= oldest:
            self._total_used -= self._used.popleft()[1]
        return self._total_used

    def count_request(self, calls: int = 1) -> bool:
        """Count calls; False if there were no calls left."""
        if self.used_requests() >= self.daily_requests:
            return False
        minute = self.clock.now().replace(second=0, microsecond=0)
        if self._used and self._used[-1][0] == minute:
            self._used[-1] = (minute, self._used[-1][1] + calls)
        else:
            self._used.append((minute, calls))
        self._total_used += calls
        return True

    def set_used(self, calls: int) -> None:
        """As if so many calls had been made just now."""
        self._used.clear()
        self._total_used = calls
        self._used.append((self.clock.now().replace(second=0, microsecond=0), calls))

    def new_request_id(self) -> str:
        """What a request is known by in the vendor's own logs. INVENTED in its form."""
        self._request_number += 1
        return f"{self._request_number:032x}"

    # -- cursors -------------------------------------------------------------------------------------------------------

    def open_cursor(self, cursor: Cursor) -> str:
        """Keep a result for later batches; returns the locator without its offset."""
        while len(self._cursors) >= self.cursors_allowed:
            self._cursors.popitem(last=False)
        self._cursor_number += 1
        locator = checked(f"01g5g0000{self._cursor_number:06d}")
        self._cursors[locator] = cursor
        return locator

    def cursor(self, locator: str) -> Cursor | None:
        """An open cursor."""
        cursor = self._cursors.get(locator)
        if cursor is None or self.clock.now() - cursor.used > CURSOR_LIFE:
            self._cursors.pop(locator, None)
            return None
        cursor.used = self.clock.now()
        return cursor

    def close_cursor(self, locator: str) -> None:
        """It was read to the end."""
        self._cursors.pop(locator, None)

    def close_cursors(self) -> None:
        """All expire."""
        self._cursors.clear()

    # -- writing -------------------------------------------------------------------------------------------------------

    def create(self, name: str, values: Record, at: datetime, user: str = "") -> str:
        """A new record; stamps that `values` lacks are `at`."""
        table = self.tables[name]
        values = {"Id": table.new_id(), **values}
        stamps = {"CreatedDate": second(at), "LastModifiedDate": second(at), "SystemModstamp": second(at)}
        users = dict.fromkeys(("CreatedById", "LastModifiedById"), user or self.integration_user)
        base = {key: value for key, value in (stamps | users).items() if key in table.fields}
        table.put(table.complete(base | values))
        return values["Id"]

    def update(
        self, name: str, record_id: str, values: Record, at: datetime, user: str = "", system: bool = False
    ) -> None:
        """Change a record. `system`: by automation, which moves SystemModstamp and nothing else."""
        table = self.tables[name]
        record = table.rows[record_id]
        stamps: Record = {"SystemModstamp": second(at)}
        if not system:
            stamps |= {"LastModifiedDate": second(at), "LastModifiedById": user or self.integration_user}
        table.put(record | {key: value for key, value in stamps.items() if key in table.fields} | values)

    def delete(self, name: str, record_id: str, at: datetime) -> None:
        """Into the recycle bin; users and external records do not go there."""
        table = self.tables[name]
        if not table.has_bin:
            table.remove(record_id)
            return
        self.update(name, record_id, {"IsDeleted": True}, at)
        self.deleted_at[name, record_id] = at

    def undelete(self, name: str, record_id: str, at: datetime) -> None:
        """Out of the recycle bin."""
        self.update(name, record_id, {"IsDeleted": False}, at)
        self.deleted_at.pop((name, record_id), None)

    def empty_bin(self, now: datetime) -> list[tuple[str, str]]:
        """What has been in the recycle bin for 15 days is gone for good; returns (object, id)."""
        gone = [key for key, at in self.deleted_at.items() if now - at > BIN_LIFE]
        for name, record_id in gone:
            del self.deleted_at[name, record_id]
            self.tables[name].remove(record_id)
        return gone

    def merge(self, name: str, winner: str, loser: str, at: datetime) -> dict[str, list[str]]:
        """Two records become one: the loser goes to the bin and names the winner, what belonged to it moves over.

        Returns:
            Object -> ids of what moved over.
        """
        self.update(name, loser, {"IsDeleted": True, "MasterRecordId": winner}, at)
        self.deleted_at[name, loser] = at
        self.update(name, winner, {}, at)
        moved: dict[str, list[str]] = {}
        for other, fields in (
            ("Contact", ("AccountId",)),
            ("Opportunity", ("AccountId", "ContactId")),
            ("Case", ("AccountId",)),
        ):
            for field in fields:
                if not field.startswith(name):
                    continue
                ids = [str(record["Id"]) for record in self.tables[other] if record[field] == loser]
                for record_id in ids:
                    self.update(other, record_id, {field: winner}, at)
                moved.setdefault(other, []).extend(ids)
        return moved

    def refresh_formulas(self, now: datetime) -> None:
        """Formulas follow what they are made of; the records' stamps stay."""
        accounts, opportunities = self.tables["Account"].rows, self.tables["Opportunity"]
        fields = {"Days_Open__c", "Account_Name__c"} & opportunities.fields.keys()
        for record in list(opportunities):
            fresh = {key: value for key, value in formulas(record, accounts, now).items() if key in fields}
            if any(record[key] != value for key, value in fresh.items()):
                opportunities.rows[record["Id"]] = record | fresh

    def add_field(self, name: str, line: str) -> None:
        """A field that administrators make; `line` as in `objects.py`."""
        self.tables[name].add_field(parse_field(line))


def formulas(opportunity: Record, accounts: dict[Any, Record], now: datetime) -> Record:
    """The values of an opportunity's formula fields."""
    created = datetime.fromisoformat(opportunity["CreatedDate"])
    account = accounts.get(opportunity["AccountId"])
    return {"Days_Open__c": float((now.date() - created.date()).days), "Account_Name__c": account and account["Name"]}
