"""What happens at nkretail as time passes: the tills' days, new prices, corrections of older lines, new products."""

from datetime import date, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from sandbox.clock import parse_moment, stamp
from sandbox.days import moment_of_day
from sandbox.odoo.computes import TAX_RATES, amounts
from sandbox.odoo.living import Event, Story, pick
from sandbox.odoo.records import Records
from sandbox.odoo.seed_nkretail import RetailWorld
from sandbox.retail import CASHIERS, Sale, Shift

RATES = {
    "correct_line": 0.7,
    "rename_product": 0.15,
    "archive_product": 0.08,
    "delete_line": 0.15,
    "edit_customer": 0.5,
    "bad_line": 0.1,
}


class Retail(Story):
    """The days of nkretail."""

    def __init__(self, world: RetailWorld) -> None:
        super().__init__(world, (2, *(uid for uid, _, _ in CASHIERS)), RATES)
        self.retailer, self.tills = world.retailer, world.tills

    def activity(self, day: date) -> float:
        """The same every day: shops live on Saturdays."""
        return 1.0

    def plan(self, day: date) -> list[Event]:
        """The usual events, the shifts, the sales and the price changes of the day."""
        events = super().plan(day)
        for shift in self.retailer.shifts(day):
            opens = Event(shift.opens, shift.cashier, partial(self.open_shift, shift=shift), Random(0))
            closes = Event(self.tills.closing(shift), shift.cashier, partial(self.close_shift, shift=shift), Random(0))
            events += [opens, closes]
        for sale in self.retailer.sales(day):
            events.append(Event(sale.moment, sale.cashier, partial(self.sell, sale=sale), Random(0)))
        for product in self.retailer.price_changes(day):
            random = self.world.random("price", f"{day}/{product}")
            moment = moment_of_day(random, day, 4, 6)
            events.append(Event(moment, 2, partial(self.reprice, product=product, day=day), random))
        return events

    # -- the tills ---------------------------------------------------------------------------------------------------

    def _insert(self, records: Records, model: str, created: str, written: str, uid: int, **values: Any) -> int:
        stamps = {"create_date": created, "create_uid": uid, "write_date": written, "write_uid": uid}
        record_id = records.database[model].insert(stamps | values)
        records.changes.note("created", model, record_id)
        return record_id

    def open_shift(self, records: Records, random: Random, shift: Shift) -> None:
        """A session opens."""
        self.tills.insert = partial(self._insert, records)
        self.tills.session(shift, shift.opens)

    def _session(self, records: Records, store: int, moment: datetime) -> int | None:
        """The store's session of that day."""
        sessions = records.database["pos.session"]
        day = stamp(moment)[:10]
        for record_id in reversed(sessions.ids):
            row = sessions.rows[record_id]
            if sessions.value(row, "config_id") == store + 1 and sessions.value(row, "start_at")[:10] == day:
                return record_id
        return None

    def sell(self, records: Records, random: Random, sale: Sale) -> None:
        """Somebody buys, or gives back."""
        session = self._session(records, sale.store, sale.moment)
        if session is not None:
            self.tills.insert = partial(self._insert, records)
            self.tills.order(sale, session, None)

    def close_shift(self, records: Records, random: Random, shift: Shift) -> None:
        """The session closes; its orders become final in the same transaction."""
        session = self._session(records, shift.store, shift.opens)
        if session is not None:
            orders = records.get("pos.session", session, "order_ids")
            records.write("pos.order", orders, {"state": "done"})
            records.write("pos.session", [session], {"state": "closed", "stop_at": records.now})

    # -- the office --------------------------------------------------------------------------------------------------

    def reprice(self, records: Records, random: Random, product: int, day: date) -> None:
        """A product gets its new price before the shops open."""
        if product in records.database["product.template"].rows:
            records.write("product.template", [product], {"list_price": self.retailer.price(product, day)})

    def correct_line(self, records: Records, random: Random) -> None:
        """An accountant corrects a line of some days ago: its date_order stays, write_date moves."""
        lines, orders = records.database["pos.order.line"], records.database["pos.order"]
        oldest = stamp(parse_moment(records.now) - timedelta(days=20))
        youngest = stamp(parse_moment(records.now) - timedelta(days=3))
        created, quantity = lines.slots["create_date"], lines.slots["qty"]
        line = pick(
            random, records.database, "pos.order.line",
            lambda row: oldest < row[created] < youngest and row[quantity] > 0,
        )  # fmt: skip
        if line is None:
            return
        row = lines.rows[line]
        discount = random.choice((5.0, 15.0, 25.0))
        rate = sum(TAX_RATES[tax] for tax in lines.value(row, "tax_ids"))
        subtotal, _, total = amounts(lines.value(row, "qty"), lines.value(row, "price_unit"), discount, rate)
        values = {"discount": discount, "price_subtotal": subtotal, "price_subtotal_incl": total}
        records.write("pos.order.line", [line], values)
        self._total(records, orders.rows[lines.value(row, "order_id")][0])

    def _total(self, records: Records, order: int) -> None:
        lines = records.database["pos.order.line"]
        members = lines.pick(records.get("pos.order", order, "lines"))
        total = round(sum((lines.value(line, "price_subtotal_incl") for line in members), 0.0), 2)
        untaxed = round(sum((lines.value(line, "price_subtotal") for line in members), 0.0), 2)
        records.write(
            "pos.order", [order], {"amount_total": total, "amount_paid": total, "amount_tax": round(total - untaxed, 2)}
        )

    def delete_line(self, records: Records, random: Random) -> None:
        """A line entered twice is removed from an open order."""
        lines, orders = records.database["pos.order.line"], records.database["pos.order"]
        order_slot, state = lines.slots["order_id"], orders.slots["state"]
        line = pick(
            random, records.database, "pos.order.line", lambda row: orders.rows[row[order_slot]][state] == "paid"
        )
        if line is not None and len(records.get("pos.order", lines.rows[line][order_slot], "lines")) > 1:
            order = lines.rows[line][order_slot]
            records.unlink("pos.order.line", [line])
            self._total(records, order)

    def bad_line(self, records: Records, random: Random) -> None:
        """A plug-in writes a discount nobody can give."""
        line = pick(random, records.database, "pos.order.line", lambda row: True)
        if line is not None:
            records.write("pos.order.line", [line], {"discount": 150.0})

    def rename_product(self, records: Records, random: Random) -> None:
        """A product is called differently: its history keeps the old text, labels show the new one."""
        product = pick(random, records.database, "product.template", lambda row: True)
        if product is not None:
            name = str(records.get("product.template", product, "name")).removesuffix(" (new recipe)")
            records.write("product.template", [product], {"name": f"{name} (new recipe)"})

    def archive_product(self, records: Records, random: Random) -> None:
        """A product is no longer sold."""
        product = pick(random, records.database, "product.template", lambda row: True)
        if product is not None:
            records.write("product.template", [product], {"active": False})
            records.write("product.product", [product], {"active": False})

    def edit_customer(self, records: Records, random: Random) -> None:
        """A customer moves."""
        partner = pick(random, records.database, "res.partner", lambda row: row[0] >= 100)
        if partner is not None:
            records.write("res.partner", [partner], {"city": random.choice(("Berlin", "Potsdam", "Leipzig"))})
