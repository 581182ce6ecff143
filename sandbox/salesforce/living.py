"""What happens in northwind's org as time passes.

What a day holds depends on the seed and the day alone, so advancing in one step or in ten gives the same events; what
an event does depends on the records it meets.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from sandbox.collection import Record
from sandbox.days import days_between, moment_of_day, often
from sandbox.salesforce.org import formulas, second
from sandbox.salesforce.seed import OPEN, STAGES, Seed, stage_values

NEW_FIELDS = (
    "Renewal_Chance__c percent", "Churn_Risk__c picklist values=low|high", "Kick_Off__c date", "Approved_At__c datetime",
    "Is_Strategic__c boolean", "Margin__c currency",
)  # fmt: skip
"""Fields that administrators add to Opportunity, one every fourth day."""
Changes = dict[str, dict[str, set[str]]]


@dataclass(frozen=True)
class Event:
    """Something that happens."""

    moment: datetime
    act: Callable[[Random, datetime], None]
    random: Random


class Northwind:
    """The days of northwind."""

    def __init__(self, seed: Seed, scale: float) -> None:
        self.seed, self.org, self.world = seed, seed.org, seed.world
        by_deals = max(scale, seed.total / 500)
        self.rates = {
            "new_opportunity": 3 * by_deals, "move_stage": 4 * by_deals, "revise_amount": 3 * by_deals,
            "close_opportunity": 1.5 * by_deals,
            "touch_opportunity": 1 * by_deals, "automate": 1 * by_deals, "delete_opportunity": 0.5 * by_deals,
            "undelete": 0.1,
            "mass_update": 0.3, "new_contact": 1 * scale, "edit_contact": 2 * scale, "rename_account": 0.4,
            "edit_account": 1 * scale,
            "merge_accounts": 0.25, "new_lead": 1.5 * scale, "convert_lead": 0.7 * scale, "new_case": 1 * scale,
            "close_case": 1 * scale,
            "renew_subscription": 1 * scale, "new_value": 0.15,
        }  # fmt: skip
        self.changes: Changes = {}

    def live(self, to: datetime) -> dict[str, dict[str, list[str]]]:
        """Carry out what happens up to `to`; entity -> created, updated, deleted ids."""
        self.changes = defaultdict(lambda: {"created": set(), "updated": set(), "deleted": set()})
        begin = self.org.lived_until
        if to <= begin:
            return {}
        for day in days_between(begin, to):
            for event in sorted(self.plan(day), key=lambda event: event.moment):
                if begin <= event.moment < to:
                    event.act(event.random, event.moment)
            self.org.empty_bin(min(to, datetime.combine(day, time(), UTC) + timedelta(days=1)))
        self.org.refresh_formulas(to)
        self.org.lived_until = to
        return {
            entity: {"created": sorted(c["created"]), "updated": sorted(c["updated"] - c["created"] - c["deleted"]),
                     "deleted": sorted(c["deleted"])}
            for entity, c in self.changes.items()
        }  # fmt: skip

    def plan(self, day: date) -> list[Event]:
        """The day's events."""
        random = self.world.random("salesforce day", day.isoformat())
        activity = 0.2 if day.weekday() >= 5 else 1.0
        events = []
        for name, rate in self.rates.items():
            for number in range(often(random, rate * activity)):
                own = self.world.random(f"salesforce {name}", f"{day}/{number}")
                events.append(Event(moment_of_day(own, day), getattr(self, name), own))
        if day.toordinal() % 4 == 0:
            own = self.world.random("salesforce new field", f"{day}")
            events.append(Event(moment_of_day(own, day), self.new_field, own))
        return events

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _pick(self, random: Random, name: str, wanted: Callable[[Record], bool]) -> str | None:
        table = self.org.tables[name]
        ids = table.ids()
        for _ in range(60 if ids else 0):
            record_id = ids[int(len(ids) * (1 - random.random() ** 2 * 0.999)) - 1]
            record = table.rows[record_id]
            if wanted(record) and not record.get("IsDeleted"):
                return record_id
        return None

    def _note(self, name: str, what: str, record_id: str) -> None:
        self.changes[self.org.tables[name].entity][what].add(record_id)

    def _create(self, name: str, values: Record, at: datetime, user: str = "") -> str:
        record_id = self.org.create(name, values, at, user)
        self._note(name, "created", record_id)
        return record_id

    def _update(
        self, name: str, record_id: str, values: Record, at: datetime, random: Random, system: bool = False
    ) -> None:
        self.org.update(name, record_id, values, at, self.seed.owner(random), system)
        self._note(name, "updated", record_id)

    def _delete(self, name: str, record_id: str, at: datetime) -> None:
        self.org.delete(name, record_id, at)
        self._note(name, "deleted", record_id)

    def _open(self, random: Random) -> str | None:
        return self._pick(random, "Opportunity", lambda record: not record["IsClosed"])

    def _history(self, opportunity: str, field: str, old: object, new: object, at: datetime) -> None:
        kind = "DynamicEnum" if field == "StageName" else "Currency"
        values = {"OpportunityId": opportunity, "Field": field, "DataType": kind, "OldValue": old, "NewValue": new}
        self._create("OpportunityFieldHistory", values, at)

    # -- opportunities -------------------------------------------------------------------------------------------------

    def new_opportunity(self, random: Random, at: datetime) -> None:
        """A deal comes up."""
        number = self.seed.total
        self.seed.total += 1
        owner = self.seed.owner(random)
        deal = self.world.deal(number, at.year)
        values = self.seed.opportunity_values(deal, random, owner, at) | stage_values(OPEN[0], deal.amount)
        values |= {"Amount": deal.amount, "CreatedDate": second(at)}
        values |= formulas(values, self.org.tables["Account"].rows, at)
        record_id = self._create("Opportunity", values, at, owner)
        self.seed.identities.tell(self.org.tenant, "deal", number, "salesforce", "opportunity", record_id)

    def move_stage(self, random: Random, at: datetime) -> None:
        """A deal reaches the next stage."""
        if (record_id := self._open(random)) is not None:
            record = self.org.tables["Opportunity"].rows[record_id]
            old = record["StageName"]
            stage = OPEN[min(len(OPEN) - 1, OPEN.index(old) + 1)] if old in STAGES else OPEN[1]
            self._update(
                "Opportunity",
                record_id,
                stage_values(stage, record["Amount"]) | {"LastStageChangeDate": second(at)},
                at,
                random,
            )
            self._history(record_id, "StageName", old, stage, at)

    def revise_amount(self, random: Random, at: datetime) -> None:
        """Somebody corrects the amount."""
        if (record_id := self._open(random)) is not None:
            record = self.org.tables["Opportunity"].rows[record_id]
            amount = round((record["Amount"] or 5000.0) * random.uniform(0.6, 1.6), 2)
            expected = round(amount * record["Probability"] / 100, 2)
            self._update("Opportunity", record_id, {"Amount": amount, "ExpectedRevenue": expected}, at, random)
            self._history(record_id, "Amount", record["Amount"], amount, at)

    def close_opportunity(self, random: Random, at: datetime) -> None:
        """A deal is won or lost."""
        if (record_id := self._open(random)) is not None:
            record = self.org.tables["Opportunity"].rows[record_id]
            stage = random.choice(("Closed Won", "Closed Lost"))
            values = stage_values(stage, record["Amount"]) | {
                "CloseDate": f"{at:%Y-%m-%d}",
                "LastStageChangeDate": second(at),
            }
            self._update("Opportunity", record_id, values, at, random)

    def touch_opportunity(self, random: Random, at: datetime) -> None:
        """Somebody saves a form without a change: the stamps move all the same."""
        if (record_id := self._open(random)) is not None:
            self._update("Opportunity", record_id, {}, at, random)

    def automate(self, random: Random, at: datetime) -> None:
        """A flow writes a field: only SystemModstamp moves."""
        if (record_id := self._open(random)) is not None:
            self._update("Opportunity", record_id, {"HasOverdueTask": random.random() < 0.5}, at, random, system=True)

    def delete_opportunity(self, random: Random, at: datetime) -> None:
        """Into the recycle bin."""
        if (record_id := self._open(random)) is not None:
            self._delete("Opportunity", record_id, at)

    def undelete(self, random: Random, at: datetime) -> None:
        """Somebody takes an opportunity out of the recycle bin."""
        binned = sorted(record_id for name, record_id in self.org.deleted_at if name == "Opportunity")
        if binned:
            record_id = random.choice(binned)
            self.org.undelete("Opportunity", record_id, at)
            self.changes["opportunity"]["deleted"].discard(record_id)
            self._note("Opportunity", "updated", record_id)

    def mass_update(self, random: Random, at: datetime) -> None:
        """A campaign touches many opportunities in one transaction: they share a stamp."""
        found = {record_id for _ in range(60) if (record_id := self._open(random)) is not None}
        for record_id in sorted(found):
            self._update("Opportunity", record_id, {"NextStep": "Fair 2026"}, at, random)

    # -- the others ----------------------------------------------------------------------------------------------------

    def new_contact(self, random: Random, at: datetime) -> None:
        """A customer gets another contact."""
        person = self.world.person(random.randrange(self.world.companies * 2))
        owner = self.seed.owner(random)
        record_id = self._create("Contact", self.seed.contact_values(person, random, owner), at, owner)
        self.seed.identities.tell(self.org.tenant, "person", person.number, "salesforce", "contact", record_id)

    def edit_contact(self, random: Random, at: datetime) -> None:
        """A phone number is corrected."""
        if (record_id := self._pick(random, "Contact", lambda record: True)) is not None:
            self._update("Contact", record_id, {"Phone": f"+49 30 555{random.randrange(10000):04d}"}, at, random)

    def edit_account(self, random: Random, at: datetime) -> None:
        """An account is rated."""
        if (record_id := self._pick(random, "Account", lambda record: True)) is not None:
            self._update("Account", record_id, {"Rating": random.choice(("Hot", "Warm", "Cold"))}, at, random)

    def rename_account(self, random: Random, at: datetime) -> None:
        """A customer changes its name: the formula on its opportunities follows, their stamps do not."""
        if (record_id := self._pick(random, "Account", lambda record: True)) is not None:
            name = self.org.tables["Account"].rows[record_id]["Name"].removesuffix(" (Holding)")
            self._update("Account", record_id, {"Name": f"{name} (Holding)"}, at, random)

    def merge_accounts(self, random: Random, at: datetime) -> None:
        """Two accounts turn out to be one."""
        winner = self._pick(random, "Account", lambda record: True)
        loser = self._pick(random, "Account", lambda record: record["Id"] != winner)
        if winner is not None and loser is not None:
            for other, ids in self.org.merge("Account", winner, loser, at).items():
                for record_id in ids:
                    self._note(other, "updated", record_id)
            self._note("Account", "updated", winner)
            self._note("Account", "deleted", loser)

    def new_lead(self, random: Random, at: datetime) -> None:
        """Somebody fills in a form."""
        record_id = self.seed.lead(len(self.org.tables["Lead"].rows) + 1_000_000, at)
        self._note("Lead", "created", record_id)

    def convert_lead(self, random: Random, at: datetime) -> None:
        """A lead becomes a contact."""
        if (record_id := self._pick(random, "Lead", lambda record: not record["IsConverted"])) is not None:
            values = {"IsConverted": True, "Status": "Closed - Converted", "ConvertedDate": f"{at:%Y-%m-%d}"}
            values |= {"ConvertedAccountId": random.choice(self.seed.accounts)}
            self._update("Lead", record_id, values, at, random)

    def new_case(self, random: Random, at: datetime) -> None:
        """A customer complains."""
        values = {
            "CaseNumber": f"{len(self.org.tables['Case'].rows) + 5000:08d}",
            "Status": "New",
            "Subject": "Tisch wackelt",
        }
        values |= {"AccountId": random.choice(self.seed.accounts), "Origin": "Email", "Priority": "Medium"}
        self._create("Case", values | {"OwnerId": self.seed.owner(random)}, at)

    def close_case(self, random: Random, at: datetime) -> None:
        """A case is solved."""
        if (record_id := self._pick(random, "Case", lambda record: not record["IsClosed"])) is not None:
            self._update(
                "Case", record_id, {"Status": "Closed", "IsClosed": True, "ClosedDate": second(at)}, at, random
            )

    def renew_subscription(self, random: Random, at: datetime) -> None:
        """A subscription goes on."""
        if (record_id := self._pick(random, "Subscription__c", lambda record: True)) is not None:
            self._update("Subscription__c", record_id, {"Renewed__c": second(at)}, at, random)

    def new_field(self, random: Random, at: datetime) -> None:
        """Administrators add a field to Opportunity, and somebody fills it in."""
        known = self.org.tables["Opportunity"].fields
        line = next((line for line in NEW_FIELDS if line.split()[0] not in known), None)
        record_id = self._open(random)
        if line is None or record_id is None:
            return
        self.org.add_field("Opportunity", line)
        name, kind = line.split()[:2]
        value = {
            "percent": 40.0,
            "picklist": "high",
            "date": f"{at:%Y-%m-%d}",
            "datetime": second(at),
            "boolean": True,
            "currency": 1.5,
        }
        self._update("Opportunity", record_id, {name: value[kind]}, at, random)

    def new_value(self, random: Random, at: datetime) -> None:
        """A stage that nobody has seen before."""
        if (record_id := self._open(random)) is not None:
            self._update("Opportunity", record_id, {"StageName": "Verbal Agreement"}, at, random)
            table = self.org.tables["Opportunity"]
            if "Verbal Agreement" not in table.fields["StageName"].values:
                table.with_value("StageName", "Verbal Agreement")
