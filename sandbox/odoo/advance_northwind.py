"""What happens at northwind as time passes: leads come, move, are won, lost, archived and deleted; orders, invoices and
payments follow; now and then somebody renames a partner or a stage, tags many leads at once, or types nonsense.
"""

from datetime import date, timedelta
from random import Random
from typing import Any

from sandbox.clock import parse_moment
from sandbox.odoo.computes import move_totals
from sandbox.odoo.living import Story, pick
from sandbox.odoo.records import Records
from sandbox.odoo.seed_northwind import NEGOTIATION, NEW, OPEN_STAGES, PROPOSITION, QUALIFIED, WON, Leads
from sandbox.odoo.seed_sales import EURO, SALESPEOPLE, Sales
from sandbox.odoo.store import Row

_NEXT_STAGE = {NEW: QUALIFIED, QUALIFIED: PROPOSITION, PROPOSITION: NEGOTIATION, NEGOTIATION: NEGOTIATION}
_STAGE_NAMES = ("Qualified", "Qualification", "Qualified lead")


class Northwind(Story):
    """The days of northwind."""

    def __init__(self, story: Leads, scale: float) -> None:
        self.story = story
        self.catalogue = Sales(story.seeder, story.companies, story.people, story.total).products
        by_leads = max(scale, story.total / 1000)
        rates = {
            "new_lead": 6 * by_leads,
            "move_lead": 8 * by_leads,
            "revise_revenue": 5 * by_leads,
            "win_lead": 1.5 * by_leads,
            "lose_lead": 1.5 * by_leads,
            "archive_lead": 0.5 * by_leads,
            "touch_lead": 1 * by_leads,
            "delete_lead": 0.8 * by_leads,
            "bad_lead": 0.35,
            "tag_many": 0.3,
            "new_partner": 1.5 * scale,
            "edit_partner": 2 * scale,
            "rename_partner": 0.4,
            "rename_stage": 0.12,
            "new_order": 2.5 * scale,
            "confirm_order": 1.5 * scale,
            "edit_order_line": 2 * scale,
            "delete_order_line": 0.5 * scale,
            "invoice_order": 1.5 * scale,
            "pay_invoice": 1.5 * scale,
            "update_project": 0.4,
        }
        super().__init__(story.world, SALESPEOPLE, rates)

    # -- leads -------------------------------------------------------------------------------------------------------

    def _open_lead(self, records: Records, random: Random) -> int | None:
        leads = records.database["crm.lead"]
        active, stage = leads.slots["active"], leads.slots["stage_id"]
        return pick(random, records.database, "crm.lead", lambda row: bool(row[active]) and row[stage] in OPEN_STAGES)

    def new_lead(self, records: Records, random: Random) -> None:
        """A lead comes in."""
        number = records.database["crm.lead"].next_id - 1
        opened = parse_moment(records.now)
        deal = self.world.deal(number, opened.year)
        values = self.story.values(deal, random, records.now, records.now, opened)
        fresh: dict[str, Any] = {
            "stage_id": NEW, "active": True, "probability": 10.0, "automated_probability": 10.0, "date_closed": None,
            "lost_reason_id": None, "day_close": 0.0, "prorated_revenue": round(values["expected_revenue"] * 0.1, 2),
        }  # fmt: skip
        records.create("crm.lead", values | fresh)

    def move_lead(self, records: Records, random: Random) -> None:
        """A lead reaches the next stage."""
        lead = self._open_lead(records, random)
        if lead is not None:
            stage = _NEXT_STAGE[records.get("crm.lead", lead, "stage_id")]
            probability = round(
                min(95.0, (records.get("crm.lead", lead, "probability") or 0) + random.uniform(5, 25)), 2
            )
            values = {"stage_id": stage, "probability": probability, "date_last_stage_update": records.now}
            records.write("crm.lead", [lead], values | {"type": "opportunity"})

    def revise_revenue(self, records: Records, random: Random) -> None:
        """Somebody corrects the expected revenue."""
        lead = self._open_lead(records, random)
        if lead is not None:
            revenue = records.get("crm.lead", lead, "expected_revenue") or 5000.0
            records.write("crm.lead", [lead], {"expected_revenue": round(abs(revenue) * random.uniform(0.6, 1.6), 2)})

    def win_lead(self, records: Records, random: Random) -> None:
        """A deal is won, and often an order follows at once."""
        lead = self._open_lead(records, random)
        if lead is not None:
            records.write("crm.lead", [lead], {"stage_id": WON, "date_closed": records.now, "type": "opportunity"})
            if random.random() < 0.5:
                self._order(records, random, lead)

    def lose_lead(self, records: Records, random: Random) -> None:
        """A deal is lost: archived, with a reason."""
        lead = self._open_lead(records, random)
        if lead is not None:
            lost = {"active": False, "probability": 0.0, "automated_probability": 0.0, "date_closed": records.now}
            records.write("crm.lead", [lead], lost | {"lost_reason_id": random.choice((1, 2, 3, 9))})

    def archive_lead(self, records: Records, random: Random) -> None:
        """A duplicate is put away."""
        lead = self._open_lead(records, random)
        if lead is not None:
            records.write("crm.lead", [lead], {"active": False})

    def touch_lead(self, records: Records, random: Random) -> None:
        """Somebody saves a form without changing anything: write_date moves all the same."""
        lead = self._open_lead(records, random)
        if lead is not None:
            records.write("crm.lead", [lead], {"priority": records.get("crm.lead", lead, "priority")})

    def delete_lead(self, records: Records, random: Random) -> None:
        """Spam is deleted for good."""
        lead = self._open_lead(records, random)
        if lead is not None:
            records.unlink("crm.lead", [lead])

    def bad_lead(self, records: Records, random: Random) -> None:
        """A web form lets nonsense through."""
        values = random.choice((
            {"name": ""}, {"name": "Webform", "expected_revenue": -100.0}, {"name": "Webform", "probability": 150.0},
            {"name": "Webform", "email_from": "nobody at nowhere"},
        ))  # fmt: skip
        records.create("crm.lead", {"type": "lead", "user_id": None} | values)

    def tag_many(self, records: Records, random: Random) -> None:
        """A campaign tags many leads in one transaction: they share a write_date."""
        leads = {lead for _ in range(40) if (lead := self._open_lead(records, random)) is not None}
        tag = random.randrange(1, 9)
        for lead in sorted(leads):
            records.write("crm.lead", [lead], {"tag_ids": [[4, tag]], "campaign_id": 4})

    # -- partners and stages -------------------------------------------------------------------------------------------

    def _partner(self, records: Records, random: Random) -> int | None:
        partners = records.database["res.partner"]
        company = partners.slots["is_company"]
        return pick(random, records.database, "res.partner", lambda row: bool(row[company]) and row[0] >= 100)

    def new_partner(self, records: Records, random: Random) -> None:
        """A customer gets a new contact."""
        company = self._partner(records, random)
        if company is not None:
            number = records.database["res.partner"].next_id
            person = self.world.person(number)
            values = {"name": person.name, "email": person.email, "phone": person.phone, "function": person.role}
            records.create("res.partner", values | {"parent_id": company, "lang": "en_US", "tz": "Europe/Berlin"})

    def edit_partner(self, records: Records, random: Random) -> None:
        """An address is corrected."""
        partner = self._partner(records, random)
        if partner is not None:
            records.write(
                "res.partner",
                [partner],
                {"street": f"Neue Straße {random.randrange(1, 99)}", "phone": "+49 30 5550199"},
            )

    def rename_partner(self, records: Records, random: Random) -> None:
        """A customer changes its name: labels change in leads and orders whose write_date stays."""
        partner = self._partner(records, random)
        if partner is not None:
            name = str(records.get("res.partner", partner, "name") or "Company").removesuffix(" (Holding)")
            records.write("res.partner", [partner], {"name": f"{name} (Holding)"})

    def rename_stage(self, records: Records, random: Random) -> None:
        """Sales operations find a better word."""
        name = records.get("crm.stage", QUALIFIED, "name")
        records.write(
            "crm.stage", [QUALIFIED], {"name": random.choice([other for other in _STAGE_NAMES if other != name])}
        )

    # -- orders and invoices -------------------------------------------------------------------------------------------

    def _order(self, records: Records, random: Random, lead: int | None) -> None:
        partner = self._partner(records, random)
        if partner is None:
            return
        order = records.create(
            "sale.order", {"partner_id": partner, "opportunity_id": lead, "currency_id": EURO, "user_id": records.uid}
        )
        for _ in range(random.randrange(1, 5)):
            product, name, price = random.choice(self.catalogue)
            records.create(
                "sale.order.line",
                {"order_id": order, "product_id": product, "name": name, "price_unit": price, "tax_id": (3,), "product_uom": 1,
                 "product_uom_qty": float(random.randrange(1, 10)), "discount": random.choice((0.0, 0.0, 5.0))},
            )  # fmt: skip

    def new_order(self, records: Records, random: Random) -> None:
        """A quotation is made."""
        self._order(records, random, None)

    def _find_order(self, records: Records, random: Random, **wanted: Any) -> int | None:
        table = records.database["sale.order"]

        def fits(row: Row) -> bool:
            return all(table.value(row, name) == value for name, value in wanted.items())

        return pick(random, records.database, "sale.order", fits)

    def confirm_order(self, records: Records, random: Random) -> None:
        """A quotation becomes an order."""
        order = self._find_order(records, random, state="draft")
        if order is not None:
            lines = records.get("sale.order", order, "order_line")
            records.write("sale.order.line", lines, {"state": "sale", "invoice_status": "to invoice"})
            records.write(
                "sale.order", [order], {"state": "sale", "invoice_status": "to invoice", "date_order": records.now}
            )

    def _line(self, records: Records, random: Random, state: str) -> int | None:
        lines = records.database["sale.order.line"]
        status, kind = lines.slots["state"], lines.slots["display_type"]
        return pick(random, records.database, "sale.order.line", lambda row: row[status] == state and row[kind] is None)

    def edit_order_line(self, records: Records, random: Random) -> None:
        """A quantity changes; the order's totals and write_date follow."""
        line = self._line(records, random, "draft")
        if line is not None:
            records.write("sale.order.line", [line], {"product_uom_qty": float(random.randrange(1, 20))})

    def delete_order_line(self, records: Records, random: Random) -> None:
        """A line is struck out."""
        line = self._line(records, random, "draft")
        if line is not None:
            records.unlink("sale.order.line", [line])

    def invoice_order(self, records: Records, random: Random) -> None:
        """A confirmed order is invoiced."""
        order = self._find_order(records, random, state="sale", invoice_status="to invoice")
        if order is None:
            return
        database = records.database
        orders, lines, moves = database["sale.order"], database["sale.order.line"], database["account.move"]
        row = orders.rows[order]
        day = date.fromisoformat(records.now[:10])
        number = moves.next_id
        shared = {name: orders.value(row, name) for name in ("partner_id", "currency_id", "company_id")}
        name = f"INV/{day.year}/{number:05d}"
        move = records.create(
            "account.move",
            shared | {
                "move_type": "out_invoice", "journal_id": 1, "state": "posted", "name": name, "payment_state": "not_paid",
                "invoice_date": f"{day}", "date": f"{day}", "invoice_date_due": f"{day + timedelta(days=30)}",
                "posted_before": True, "invoice_origin": orders.value(row, "name"),
                "invoice_user_id": records.uid, "payment_reference": name,
                "commercial_partner_id": shared["partner_id"], "team_id": 1, "sequence_number": number, "ref": "",
                "sequence_prefix": f"INV/{day.year}/", "partner_shipping_id": shared["partner_id"],
            },
        )  # fmt: skip
        for line in lines.pick(orders.value(row, "order_line")):
            if lines.value(line, "display_type") is None:
                self._invoice_line(records, move, name, day, shared, {n: lines.value(line, n) for n in _COPIED})
        records.write("sale.order.line", orders.value(row, "order_line"), {"invoice_status": "invoiced"})
        records.write("sale.order", [order], {"invoice_status": "invoiced", "amount_to_invoice": 0.0})

    def _invoice_line(
        self, records: Records, move: int, name: str, day: date, shared: dict[str, Any], line: dict[str, Any]
    ) -> None:
        balance = -(line["price_subtotal"] or 0.0)
        records.create(
            "account.move.line",
            shared | {
                "move_id": move, "move_name": name, "parent_state": "posted", "account_id": 24, "journal_id": 1, "sequence": 1,
                "date": f"{day}", "invoice_date": f"{day}", "product_id": line["product_id"], "name": line["name"],
                "quantity": line["product_uom_qty"], "price_unit": line["price_unit"], "discount": line["discount"],
                "tax_ids": line["tax_id"], "display_type": "product", "balance": balance, "credit": -balance, "debit": 0.0,
                "amount_currency": balance, "product_uom_id": 1,
            },
        )  # fmt: skip

    def pay_invoice(self, records: Records, random: Random) -> None:
        """A customer pays."""
        moves = records.database["account.move"]
        state, paid = moves.slots["state"], moves.slots["payment_state"]
        move = pick(
            random, records.database, "account.move", lambda row: row[state] == "posted" and row[paid] == "not_paid"
        )
        if move is not None:
            row = moves.rows[move]
            sign = -1 if moves.value(row, "move_type") in ("out_refund", "in_invoice") else 1
            totals = move_totals(
                moves.value(row, "amount_untaxed") or 0.0, moves.value(row, "amount_total") or 0.0, sign, True
            )
            records.write("account.move", [move], totals | {"payment_state": "paid"})

    # -- projects ------------------------------------------------------------------------------------------------------

    def update_project(self, records: Records, random: Random) -> None:
        """A project's status is reported."""
        project = pick(random, records.database, "project.project", lambda row: True)
        if project is not None:
            status = random.choice(("on_track", "at_risk", "off_track", "done"))
            records.write("project.project", [project], {"last_update_status": status})


_COPIED = ("product_id", "name", "product_uom_qty", "price_unit", "discount", "tax_id", "price_subtotal")
