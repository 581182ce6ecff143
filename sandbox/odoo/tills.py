"""How a retail day looks in Odoo's point of sale: sessions, orders, lines, payments.

Used for the history (bulk loading) and for days lived later (through the ORM), so both look alike. At closing time the
session's orders become `done` in one transaction and share its write_date, as recorded.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from sandbox.clock import stamp
from sandbox.odoo.computes import TAX_RATES, amounts
from sandbox.odoo.store import Database
from sandbox.retail import STORES, Line, Retailer, Sale, Shift

FULL_TAX, REDUCED_TAX = 3, 4
CASH, CARD = 1, 2
Insert = Callable[..., int]
"""`insert(model, created, written, uid, **values)` -> id"""


class Tills:
    """Writes a retailer's days into a database."""

    def __init__(self, database: Database, retailer: Retailer, insert: Insert) -> None:
        self.database, self.retailer, self.insert = database, retailer, insert
        self._lines: dict[date, list[int]] = {}
        self.people = 100 + retailer.world.companies  # id of the first person among the partners

    def session(self, shift: Shift, until: datetime) -> int:
        """Open the session of a shift (and close it, if its end lies before `until`)."""
        closed = shift.closes < until
        number = self.database["pos.session"].next_id
        opened = stamp(shift.opens)
        ended = stamp(self.closing(shift)) if closed else None
        return self.insert(
            "pos.session", opened, ended or opened, shift.cashier, name=f"POS/{number:05d}", config_id=shift.store + 1,
            user_id=shift.cashier, start_at=opened, stop_at=ended, state="closed" if closed else "opened",
            sequence_number=1, cash_journal_id=7, update_stock_at_closing=True,
        )  # fmt: skip

    def closing(self, shift: Shift) -> datetime:
        """The moment a shift's session is closed and its orders become final."""
        random = self.retailer.world.random("closing", f"{shift.day}/{shift.store}")
        return shift.closes + timedelta(seconds=random.randrange(120, 1500), microseconds=random.randrange(1_000_000))

    def order(self, sale: Sale, session: int, done_at: datetime | None) -> int:
        """One order with lines and payment; `done_at`: when its session was closed (None: still open)."""
        day = sale.moment.date()
        random = self.retailer.world.random("order", sale.moment.isoformat())
        moment = stamp(sale.moment + timedelta(microseconds=random.randrange(1_000_000)))
        number = self.database["pos.order"].next_id
        refunds = self._refunds(sale, random)
        computed = refunds or [self._values(line) for line in sale.lines]
        untaxed = round(sum((values["price_subtotal"] for values in computed), 0.0), 2)
        total = round(sum((values["price_subtotal_incl"] for values in computed), 0.0), 2)
        store = STORES[sale.store]
        order = self.insert(
            "pos.order", moment, stamp(done_at) if done_at else moment, sale.cashier, name=f"{store}/{number:05d}",
            date_order=f"{moment[:19]}.000000", user_id=sale.cashier, amount_tax=round(total - untaxed, 2),
            amount_total=total, amount_paid=total, amount_return=0.0, session_id=session, config_id=sale.store + 1,
            partner_id=None if sale.customer is None else self.people + sale.customer, sale_journal=9, company_id=1,
            state="done" if done_at else "paid", sequence_number=number % 1000, currency_rate=1.0,
            pos_reference=f"Order {session:05d}-{sale.store + 1:03d}-{number % 10000:04d}",
        )  # fmt: skip
        for values in computed:
            line = self.insert(
                "pos.order.line", moment, moment, sale.cashier, order_id=order, name=f"{store}/{number:05d}", **values
            )
            if not refunds:
                self._lines.setdefault(day, []).append(line)
        self.insert(
            "pos.payment", moment, moment, sale.cashier, pos_order_id=order, amount=total, session_id=session,
            payment_method_id=CASH if sale.cash else CARD, payment_date=f"{moment[:19]}.000000", company_id=1,
        )  # fmt: skip
        return order

    def _values(self, line: Line) -> dict[str, Any]:
        product = self.retailer.products[line.product - 1]
        tax = REDUCED_TAX if product.food else FULL_TAX
        subtotal, _, total = amounts(line.quantity, line.price, line.discount, TAX_RATES[tax])
        return {
            "product_id": line.product, "qty": line.quantity, "price_unit": line.price, "discount": line.discount,
            "price_subtotal": subtotal, "price_subtotal_incl": total, "tax_ids": (tax,), "customer_note": line.note,
            "full_product_name": f"[{product.code}] {product.name}", "company_id": 1,
        }  # fmt: skip

    def _refunds(self, sale: Sale, random: Random) -> list[dict[str, Any]]:
        """The lines of a refund: one bought some days before, given back."""
        if sale.refund_days is None:
            return []
        bought = self._sold_on((sale.moment - timedelta(days=sale.refund_days)).date())
        if not bought:
            return []
        lines = self.database["pos.order.line"]
        original = random.choice(bought)
        row = lines.rows[original]
        names = ("product_id", "price_unit", "discount", "tax_ids", "full_product_name", "company_id")
        values = {name: lines.value(row, name) for name in names}
        for name in ("qty", "price_subtotal", "price_subtotal_incl"):
            values[name] = -lines.value(row, name)
        return [values | {"refunded_orderline_id": original}]

    def _sold_on(self, day: date) -> list[int]:
        lines = self._lines.get(day, [])
        return [line for line in lines if line in self.database["pos.order.line"].rows]
