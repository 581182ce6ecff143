"""podium: a small AWS partner. The only database with the six custom models (INVENTED, see `schema.partner_models`)."""

from datetime import datetime, timedelta

from sandbox.odoo.schema import reference_records
from sandbox.odoo.seed_northwind import OPEN_STAGES
from sandbox.odoo.seeding import Seeder, models
from sandbox.odoo.store import Database
from sandbox.world import World

DOLLAR = 1
USERS = [(5, "ava", "Ava Stone"), (6, "noah", "Noah Petrov")]
SERVICES = (
    ("AmazonEC2", "BoxUsage:m6i.large", 0.096), ("AmazonS3", "TimedStorage-ByteHrs", 0.023),
    ("AmazonRDS", "InstanceUsage:db.t4g.medium", 0.065), ("AWSLambda", "Lambda-GB-Second", 0.0000167),
    ("AmazonCloudFront", "DataTransfer-Out-Bytes", 0.085), ("awskms", "KMS-Requests", 0.000003),
)  # fmt: skip


def build(seed: int, start: datetime, scale: float) -> tuple[Database, World]:
    """The database as it stands at `start`."""
    world = World("podium", seed, companies=max(8, round(24 * scale)))
    database = Database("podium", models(aws_partner=True))
    seeder = Seeder(database, world, start)
    seeder.master_data([("Podium Cloud Ltd", DOLLAR, "London")], USERS, "product.category")
    seeder.add("crm.team", id=1, name="Sales", active=True, use_opportunities=True, use_leads=True, sequence=10)
    companies, people = seeder.partners([5, 6])
    products = _products(seeder)
    for number in range(round(80 * scale)):
        _lead(seeder, number, companies, people)
    accounts = _accounts(seeder, companies)
    _funding(seeder, companies, round(30 * scale))
    for month in range(6):
        _month(seeder, month, accounts, products, scale)
    database.finish_loading()
    return database, world


def _products(seeder: Seeder) -> list[int]:
    answer = []
    for number, name in enumerate(("AWS resale", "Managed service", "Support plan"), 1):
        category = reference_records("product.category")[1]["id"]
        seeder.add(
            "product.template", id=number, name=name, list_price=0.0, type="service", categ_id=category, active=True
        )
        answer.append(seeder.add("product.product", id=number, product_tmpl_id=number, active=True))
    return answer


def _lead(seeder: Seeder, number: int, companies: list[int], people: list[int]) -> None:
    deal = seeder.world.deal(number, seeder.start.year)
    random = seeder.world.random("odoo lead", number)
    person = seeder.world.person(deal.person)
    stage = 4 if deal.outcome == "won" else OPEN_STAGES[int(deal.course * 3)]
    created = seeder.moment(random, deal.age_days + 1)
    seeder.add(
        "crm.lead", created, seeder.moment(random, deal.age_days * random.random()), 5, id=number + 1,
        name=f"AWS migration {seeder.world.company(deal.company).name}", type="opportunity", stage_id=stage, team_id=1,
        user_id=random.choice((5, 6)), expected_revenue=deal.amount, partner_id=people[person.number],
        probability=100.0 if stage == 4 else 25.0 * stage, priority="1", email_from=person.email, contact_name=person.name,
        active=deal.outcome != "lost", date_deadline=f"{seeder.start + timedelta(days=random.randrange(120)):%Y-%m-%d}",
    )  # fmt: skip


def _accounts(seeder: Seeder, companies: list[int]) -> list[tuple[int, int]]:
    """(account, partner): one payer per customer, half of them with two linked accounts."""
    answer = []
    for number, partner in enumerate(companies):
        random = seeder.world.random("aws account", number)
        payer = None
        for position in range(1 if random.random() < 0.5 else 3):
            days = 30 + 600 * random.random()
            account = seeder.add(
                "c.aws.accounts", seeder.moment(random, days), seeder.moment(random, days * random.random()), 5,
                name=f"{seeder.world.company(number).name} {'payer' if position == 0 else f'workload {position}'}",
                account_id=f"{random.randrange(10**11, 10**12)}", partner_id=partner, payer_account_id=payer,
                email=f"aws+{position}@{seeder.world.company(number).domain}",
                status=random.choice(("active",) * 9 + ("suspended",)),
                joined_date=f"{seeder.start - timedelta(days=days):%Y-%m-%d}", active=True,
                support_plan=random.choice(("basic", "developer", "business", "enterprise")),
            )  # fmt: skip
            payer = payer or account
            answer.append((account, partner))
    return answer


def _funding(seeder: Seeder, companies: list[int], amount: int) -> None:
    for number in range(amount):
        random = seeder.world.random("funding", number)
        days = 300 * random.random()
        stage = random.choice(("draft", "submitted", "approved", "claimed", "paid", "rejected"))
        asked = round(random.uniform(2000, 60000), 2)
        begin = seeder.start - timedelta(days=days)
        program = random.choice(("MAP", "MDF", "POC", "ISV_WMP"))
        seeder.add(
            "c.aws.funding.request", seeder.moment(random, days), seeder.moment(random, days * random.random()), 6,
            name=f"{program} {number + 1}", request_ref=f"FR-{number + 1:06d}", lead_id=random.randrange(1, 60), stage=stage,
            partner_id=random.choice(companies), program=program, requested_amount=asked, currency_id=DOLLAR,
            state="cancel" if stage == "rejected" else "done" if stage == "paid" else "open",
            approved_amount=round(asked * random.uniform(0.5, 1), 2) if stage in ("approved", "claimed", "paid") else None,
            start_date=f"{begin:%Y-%m-%d}", end_date=f"{begin + timedelta(days=120):%Y-%m-%d}",
            claim_due_date=f"{begin + timedelta(days=180):%Y-%m-%d}",
        )  # fmt: skip


def _month(seeder: Seeder, back: int, accounts: list[tuple[int, int]], products: list[int], scale: float) -> None:
    """Usage, reseller bill and customer bill of one month, `back` months ago."""
    first = (seeder.start - timedelta(days=30 * (back + 1))).replace(day=1)
    period, ends = f"{first:%Y-%m-%d}", f"{first + timedelta(days=27):%Y-%m-%d}"
    gross: dict[int, float] = {}
    for account, partner in accounts:
        random = seeder.world.random("usage", f"{period}/{account}")
        cost = 0.0
        for _ in range(max(4, round(12 * scale))):
            service, usage, rate = random.choice(SERVICES)
            amount = round(random.lognormvariate(5, 1.5), 6)
            paid = round(amount * rate, 8)
            cost += paid
            moment = seeder.moment(random, 30 * back + 29 * random.random())
            seeder.add(
                "c.billing.internal.cur", moment, moment, 1, bill_period=period, account_id=account, service_code=service,
                usage_type=usage, line_item_type=random.choice(("Usage",) * 8 + ("Tax", "Credit")), usage_amount=amount,
                unblended_cost=paid, cost_currency="USD", resource_tags={"env": random.choice(("prod", "dev")), "team": None},
            )  # fmt: skip
        gross[partner] = round(gross.get(partner, 0.0) + cost * 40, 2)
    for partner, amount in gross.items():
        random = seeder.world.random("bill", f"{period}/{partner}")
        moment = seeder.moment(random, 30 * back + 5 * random.random())
        payer = next(account for account, owner in accounts if owner == partner)
        discount, tax = round(amount * 0.05, 2), round(amount * 0.2, 2)
        seeder.add(
            "c.billing.spp.bill", moment, moment, 1, name=f"SPP {period[:7]} {partner}", period=period, partner_id=partner,
            payer_account_id=payer, gross=amount, discount=discount, net=round(amount - discount, 2), currency_id=DOLLAR,
            state="billed" if back else "draft",
        )  # fmt: skip
        bill = seeder.add(
            "c.billing.bill", moment, moment, 5, name=f"BILL/{period[:7]}/{partner}", partner_id=partner, currency_id=DOLLAR,
            period_start=period, period_end=ends, amount_untaxed=amount, amount_tax=tax,
            amount_total=round(amount + tax, 2), state="paid" if back > 1 else "sent" if back else "draft",
        )  # fmt: skip
        seeder.add(
            "c.billing.bill.line", moment, moment, 5, bill_id=bill, account_id=payer, product_id=products[0],
            description=f"AWS usage {period[:7]}", quantity=1.0, price_unit=amount, amount=amount,
        )  # fmt: skip
