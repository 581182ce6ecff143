"""What happens at the AWS partner as time passes: usage every day, funding requests move, leads come and move."""

from random import Random

from sandbox.odoo.living import Story, pick
from sandbox.odoo.records import Records
from sandbox.odoo.seed_podium import DOLLAR, SERVICES
from sandbox.world import World

_FUNDING = {"draft": "submitted", "submitted": "approved", "approved": "claimed", "claimed": "paid"}


RATES = {
    "use": 20, "move_funding": 0.8, "new_funding": 0.4, "new_lead": 1, "move_lead": 1.5, "suspend_account": 0.05,
}  # fmt: skip


class Podium(Story):
    """The days of podium."""

    def __init__(self, world: World) -> None:
        super().__init__(world, (5, 6), RATES)

    def use(self, records: Records, random: Random) -> None:
        """One line of usage arrives."""
        account = pick(random, records.database, "c.aws.accounts", lambda row: True)
        service, usage, rate = random.choice(SERVICES)
        amount = round(random.lognormvariate(5, 1.5), 6)
        records.create(
            "c.billing.internal.cur",
            {"bill_period": f"{records.now[:8]}01", "account_id": account, "service_code": service, "usage_type": usage,
             "line_item_type": "Usage", "usage_amount": amount, "unblended_cost": round(amount * rate, 8),
             "cost_currency": "USD", "resource_tags": {"env": "prod", "team": None}},
        )  # fmt: skip

    def new_funding(self, records: Records, random: Random) -> None:
        """Funding is asked for."""
        number = records.database["c.aws.funding.request"].next_id
        program = random.choice(("MAP", "MDF", "POC"))
        records.create(
            "c.aws.funding.request",
            {"name": f"{program} {number}", "request_ref": f"FR-{number:06d}", "program": program, "stage": "draft",
             "state": "open", "requested_amount": round(random.uniform(2000, 60000), 2), "currency_id": DOLLAR,
             "start_date": records.now[:10]},
        )  # fmt: skip

    def move_funding(self, records: Records, random: Random) -> None:
        """A request reaches its next stage."""
        table = records.database["c.aws.funding.request"]
        stage = table.slots["stage"]
        request = pick(random, records.database, table.name, lambda row: row[stage] in _FUNDING)
        if request is not None:
            records.write(table.name, [request], {"stage": _FUNDING[table.rows[request][stage]]})

    def new_lead(self, records: Records, random: Random) -> None:
        """A lead comes in."""
        deal = self.world.deal(records.database["crm.lead"].next_id, int(records.now[:4]))
        name = f"AWS migration {self.world.company(deal.company).name}"
        records.create(
            "crm.lead", {"name": name, "expected_revenue": deal.amount, "user_id": records.uid, "probability": 10.0}
        )

    def move_lead(self, records: Records, random: Random) -> None:
        """A lead moves on."""
        leads = records.database["crm.lead"]
        stage = leads.slots["stage_id"]
        lead = pick(random, records.database, "crm.lead", lambda row: row[stage] in (1, 2, 3))
        if lead is not None:
            records.write("crm.lead", [lead], {"stage_id": leads.rows[lead][stage] + 1})

    def suspend_account(self, records: Records, random: Random) -> None:
        """An account is suspended."""
        account = pick(random, records.database, "c.aws.accounts", lambda row: True)
        if account is not None:
            records.write("c.aws.accounts", [account], {"status": "suspended"})
