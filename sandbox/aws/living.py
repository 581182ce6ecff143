"""What happens in podium's AWS account as days pass.

A day's plan depends on the seed and the day alone; what an event does depends on the records that it meets.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from sandbox.aws.feed import published
from sandbox.aws.moments import iso, nanos
from sandbox.aws.partner_story import AWS_STAGES, STAGES
from sandbox.aws.shop import Shop
from sandbox.aws.table import Table
from sandbox.collection import Record
from sandbox.days import days_between, moment_of_day, often

RATES = {
    "new_opportunity": 1.0, "move_opportunity": 2.0, "aws_moves": 1.0, "review": 1.0, "new_invitation": 1.0,
    "answer_invitation": 0.8, "qualify_lead": 0.5, "rename_solution": 0.2, "delete_solution": 0.1, "new_application": 0.4,
    "move_application": 0.8, "move_allocation": 0.3, "change_product": 0.3, "new_product": 0.1, "new_agreement": 0.5,
    "change_agreement": 0.5,
}  # fmt: skip
"""Times a day, on a working day and with 80 opportunities; more records, more events."""
_NEXT = {"PENDING_SUBMISSION": "IN_REVIEW", "IN_REVIEW": "APPROVED", "ACTION_REQUIRED": "IN_REVIEW"}


class Changes:
    """Which ids of which table were created, updated and deleted."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    def tell(self, entity: str, kind: str, record_id: str) -> None:
        """`kind`: created, updated or deleted; what was created and then changed counts as created."""
        known = self._kinds[entity]
        if kind == "updated" and record_id in known["created"]:
            return
        if kind == "deleted":
            known["updated"].discard(record_id)
            if record_id in known["created"]:
                known["created"].discard(record_id)
                return
        known[kind].add(record_id)

    def describe(self) -> dict[str, dict[str, list[str]]]:
        """As the control endpoint answers."""
        kinds = ("created", "updated", "deleted")
        found = {entity: {kind: sorted(known[kind]) for kind in kinds} for entity, known in self._kinds.items()}
        return {entity: known for entity, known in found.items() if any(known.values())}


@dataclass(frozen=True)
class Event:
    """Something that happens at a moment."""

    moment: datetime
    act: Callable[["Life", Random, datetime], None]
    random: Random


class Life:
    """Carries podium through time."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.catalog, self.until = shop, shop.catalogs["AWS"], shop.start
        self.scale = max(1.0, len(self.catalog.opportunities) / 80) ** 0.5
        self.changes = Changes()

    def live(self, to: datetime) -> dict[str, Any]:
        """What happens up to `to`; returns entity -> created, updated, deleted ids."""
        self.changes = Changes()
        if to <= self.until:
            return {}
        for day in days_between(self.until, to):
            for event in sorted(self._plan(day), key=lambda event: event.moment):
                if self.until <= event.moment < to:
                    event.act(self, event.random, event.moment)
        self.until = to
        return self.changes.describe()

    def _plan(self, day: date) -> list[Event]:
        world, busy = self.shop.world, (0.2 if day.weekday() >= 5 else 1.0) * self.scale
        random = world.random("aws day", day.isoformat())
        events = []
        for name, rate in RATES.items():
            for number in range(often(random, rate * busy)):
                own = world.random(f"aws {name}", f"{day}/{number}")
                events.append(Event(moment_of_day(own, day), getattr(Life, name), own))
        own = world.random("aws feed", day.isoformat())
        return [*events, Event(published(day - timedelta(days=1)), Life.publish_usage, own)]

    def _pick(self, random: Random, table: Table, wanted: Callable[[Record], bool] = lambda row: True) -> Record | None:
        keys = list(table.rows)
        for _ in range(60):
            if keys and wanted(row := table.rows[random.choice(keys)]):
                return row
        return None

    def _moved(self, entity: str, table: Table, record: Record) -> None:
        table.put(record)
        self.changes.tell(entity, "updated", record[table.id_key])

    # -- opportunities -------------------------------------------------------------------------------------------------

    def new_opportunity(self, random: Random, moment: datetime) -> None:
        """Another deal of the story is registered with AWS."""
        number = len(self.catalog.opportunities)
        record_id = self.shop.add_opportunity(self.catalog, number, moment, moment, "Prospect")
        self.changes.tell("opportunities", "created", record_id)
        self.changes.tell("aws_opportunity_summaries", "created", record_id)

    def move_opportunity(self, random: Random, moment: datetime) -> None:
        """One moves on, or is lost. An opportunity under review can't be changed."""
        row = self._pick(random, self.catalog.opportunities, lambda row: (
            row["LifeCycle"]["Stage"] in STAGES[:-1] and row["LifeCycle"]["ReviewStatus"] == "Approved"))  # fmt: skip
        if row is None:
            return
        stage = STAGES[STAGES.index(row["LifeCycle"]["Stage"]) + 1] if random.random() < 0.85 else "Closed Lost"
        lost = "Delay / Cancellation of Project" if stage == "Closed Lost" else None
        cycle = {
            **row["LifeCycle"],
            "Stage": stage,
            "ClosedLostReason": lost,
            "NextSteps": f"{stage} since {moment:%d %B}",
        }
        self._moved("opportunities", self.catalog.opportunities,
                    {**row, "LifeCycle": cycle, "LastModifiedDate": iso(moment)})  # fmt: skip

    def aws_moves(self, random: Random, moment: datetime) -> None:
        """AWS's people change their side. INVENTED: that this moves the opportunity's LastModifiedDate, too."""
        row = self._pick(random, self.catalog.opportunities)
        if row is None:
            return
        summary = self.catalog.aws_summaries.rows[row["Id"]]
        cycle = summary["LifeCycle"] or {"TargetCloseDate": row["LifeCycle"]["TargetCloseDate"], "ClosedLostReason": None,
                                         "NextSteps": None, "NextStepsHistory": None}  # fmt: skip
        stage = AWS_STAGES.get(row["LifeCycle"]["Stage"], "Seller Engaged")
        cycle = {**cycle, "Stage": stage, "NextSteps": f"Seller call on {moment:%Y-%m-%d %H:%M}"}
        self._moved("aws_opportunity_summaries", self.catalog.aws_summaries, {**summary, "LifeCycle": cycle})
        self._moved("opportunities", self.catalog.opportunities, {**row, "LastModifiedDate": iso(moment)})

    def review(self, random: Random, moment: datetime) -> None:
        """AWS looks at a submitted opportunity, and then decides."""
        row = self._pick(random, self.catalog.opportunities,
                         lambda row: row["LifeCycle"]["ReviewStatus"] in ("Submitted", "In review"))  # fmt: skip
        if row is None:
            return
        status = "In review" if row["LifeCycle"]["ReviewStatus"] == "Submitted" else "Approved"
        cycle = {**row["LifeCycle"], "ReviewStatus": status}
        self._moved("opportunities", self.catalog.opportunities,
                    {**row, "LifeCycle": cycle, "LastModifiedDate": iso(moment)})  # fmt: skip

    # -- invitations, engagements, solutions ---------------------------------------------------------------------------

    def new_invitation(self, random: Random, moment: datetime) -> None:
        """AWS passes on a lead, or asks podium to join an opportunity."""
        number = len(self.catalog.invitations)
        self.changes.tell("invitations", "created", self.shop.add_invitation(self.catalog, number, moment, "PENDING"))

    def answer_invitation(self, random: Random, moment: datetime) -> None:
        """An invitation is accepted, and an engagement begins; or it is rejected. Neither leaves a date on the invitation."""
        row = self._pick(random, self.catalog.invitations, lambda row: row["Status"] == "PENDING")
        if row is None:
            return
        if random.random() < 0.3:
            answer = {"Status": "REJECTED", "RejectionReason": "Unable to support"}
        else:
            lead = None
            if "LeadInvitation" in row["Payload"]:
                number = list(self.catalog.invitations.rows).index(row["Id"])
                lead = self.catalog.partner.lead(self.catalog.partner.lead_person(number), "Open", moment)
            engagement = self.shop.add_engagement(self.catalog, moment, lead)
            self.changes.tell("engagements", "created", engagement["Id"])
            answer = {"Status": "ACCEPTED", "EngagementId": engagement["Id"]}
        self._moved("invitations", self.catalog.invitations, {**row, **answer})

    def qualify_lead(self, random: Random, moment: datetime) -> None:
        """A lead's qualification changes inside its engagement."""
        row = self._pick(random, self.catalog.engagements, lambda row: row["Contexts"][0]["Type"] == "Lead")
        if row is None:
            return
        lead = row["Contexts"][0]["Payload"]["Lead"]
        lead = {**lead, "QualificationStatus": random.choice(("Qualified", "Disqualified", "Research"))}
        self._moved("engagements", self.catalog.engagements, {
            **row, "Contexts": [{"Type": "Lead", "Payload": {"Lead": lead}}], "ModifiedAt": nanos(moment), "ModifiedBy": "aws",
        })  # fmt: skip

    def rename_solution(self, random: Random, moment: datetime) -> None:
        """A solution gets another name; nothing tells when."""
        row = self._pick(random, self.catalog.solutions)
        if row is not None:
            self._moved(
                "solutions",
                self.catalog.solutions,
                {**row, "Name": f"{row['Name'].partition(' (')[0]} ({moment:%b %Y})"},
            )

    def delete_solution(self, random: Random, moment: datetime) -> None:
        """A draft goes."""
        row = self._pick(random, self.catalog.solutions, lambda row: row["Status"] == "Draft")
        if row is not None:
            self.catalog.solutions.remove(row["Id"])
            self.changes.tell("solutions", "deleted", row["Id"])

    # -- benefits ------------------------------------------------------------------------------------------------------

    def new_application(self, random: Random, moment: datetime) -> None:
        """Funding is asked for."""
        number, opportunity = len(self.catalog.applications), self._pick(random, self.catalog.opportunities)
        if opportunity is None:
            return
        row = self.catalog.partner.application(number, moment, moment, "PENDING_SUBMISSION", opportunity["Id"])
        self.catalog.applications.put(row)
        self.changes.tell("benefit_applications", "created", row["Id"])

    def move_application(self, random: Random, moment: datetime) -> None:
        """An application reaches its next status; an approved one is granted something."""
        row = self._pick(random, self.catalog.applications, lambda row: row["Status"] in _NEXT)
        if row is None:
            return
        row = {
            **row,
            "Status": _NEXT[row["Status"]],
            "UpdatedAt": iso(moment),
            "Revision": str(int(row["Revision"]) + 1),
        }
        self._moved("benefit_applications", self.catalog.applications, row)
        if row["Status"] == "APPROVED":
            number = list(self.catalog.applications.rows).index(row["Id"])
            grant = self.catalog.partner.allocation(number, row, moment)
            self.catalog.allocations.put(grant)
            self.changes.tell("benefit_allocations", "created", grant["Id"])

    def move_allocation(self, random: Random, moment: datetime) -> None:
        """What was granted is used up."""
        row = self._pick(random, self.catalog.allocations, lambda row: row["Status"] == "ACTIVE")
        if row is not None:
            self._moved("benefit_allocations", self.catalog.allocations,
                        {**row, "Status": "FULFILLED", "UpdatedAt": iso(moment)})  # fmt: skip

    # -- Marketplace ---------------------------------------------------------------------------------------------------

    def new_product(self, random: Random, moment: datetime) -> None:
        """Another listing."""
        row = self.shop.market.product(len(self.shop.products), moment)
        self.shop.products.put(row)
        self.changes.tell("products", "created", row["EntityId"])

    def change_product(self, random: Random, moment: datetime) -> None:
        """A listing's text changes: a new revision."""
        row = self._pick(random, self.shop.products)
        if row is None:
            return
        described = {**row["DetailsDocument"]["Description"], "ShortDescription": f"Now better ({moment:%B})."}
        document = {**row["DetailsDocument"], "Description": described}
        self._moved("products", self.shop.products, {
            **row, "DetailsDocument": document, "Revision": row["Revision"] + 1, "LastModifiedDate": iso(moment)})  # fmt: skip

    def new_agreement(self, random: Random, moment: datetime) -> None:
        """Somebody subscribes."""
        self.changes.tell("agreements", "created", self.shop.add_agreement(moment, moment))

    def change_agreement(self, random: Random, moment: datetime) -> None:
        """A subscription ends early, or is extended."""
        row = self._pick(random, self.shop.agreements, lambda row: row["status"] == "ACTIVE")
        if row is None:
            return
        if random.random() < 0.5:
            news = {"status": "CANCELLED", "endTime": moment.timestamp()}
        else:
            news = {"endTime": (moment + timedelta(days=365)).timestamp()}
        self._moved("agreements", self.shop.agreements, {**row, **news, "lastUpdateTime": moment.timestamp()})

    def publish_usage(self, random: Random, moment: datetime) -> None:
        """Every night yesterday's usage comes; now and then a correction of an earlier day."""
        yesterday = moment.date() - timedelta(days=1)
        for record_id in self.shop.feed.publish(yesterday, self.shop.meters()):
            self.changes.tell("meter_usage", "created", record_id)
        if random.random() < 0.25:
            day = yesterday - timedelta(days=random.randrange(1, 6))
            for record_id in self.shop.feed.correct(day, yesterday):
                self.changes.tell("meter_usage", "updated", record_id)
