"""northwind's orders, invoices, refunds and vendor bills."""

from datetime import timedelta
from random import Random
from typing import Any

from sandbox.odoo.computes import TAX_RATES, amounts, move_totals
from sandbox.odoo.seeding import Seeder

EURO, DOLLAR = 126, 1
SALESPEOPLE = [2, 5, 6, 7, 9, 10, 11, 12]


class Sales:
    """Orders from won and promising deals, invoices from orders, vendor bills."""

    def __init__(self, seeder: Seeder, companies: list[int], people: list[int], leads: int) -> None:
        self.seeder, self.companies, self.people, self.leads = seeder, companies, people, leads
        self.database, self.world = seeder.database, seeder.world
        templates, variants = self.database["product.template"], self.database["product.product"]
        self.products: list[tuple[int, str, float]] = []
        for row in variants.rows.values():
            parent = templates.rows[variants.value(row, "product_tmpl_id")]
            if (price := templates.value(parent, "list_price") or 0.0) > 0:
                self.products.append((row[0], variants.labels.text(row), price))
        self.sequences: dict[str, int] = {}

    def add(self, orders: int) -> None:
        """Load orders with their invoices, and some vendor bills."""
        for number in range(orders):
            self._order(number)
        for number in range(orders // 8):
            self._bill(number)

    def _order(self, number: int) -> None:
        random = self.world.random("order", number)
        company = random.randrange(self.world.companies)
        partner = self.companies[company]
        dollars = self.world.company(company).currency != "EUR"
        days = random.random() ** 1.3 * 400
        created = self.seeder.moment(random, days)
        written = self.seeder.moment(random, days * random.random())
        state = random.choices(("sale", "draft", "sent", "cancel"), (60, 20, 12, 8))[0]
        invoiced = state == "sale" and random.random() < 0.72
        status = "no" if state != "sale" else "invoiced" if invoiced else "to invoice"
        user, name, order_id = random.choice(SALESPEOPLE), f"S{number + 1:05d}", number + 1
        lines = self._lines(random, order_id, created, written, state, invoiced, partner, user, dollars)
        untaxed = round(sum((line["price_subtotal"] for line in lines), 0.0), 2)
        tax = round(sum((line["price_tax"] for line in lines), 0.0), 2)
        total = round(untaxed + tax, 2)
        due = total if status == "to invoice" else 0.0
        self.seeder.add(
            "sale.order", created, written, user, id=order_id, name=name, partner_id=partner, partner_invoice_id=partner,
            partner_shipping_id=random.choice((partner, self.people[company * 2])), state=state, date_order=created,
            invoice_status=status, amount_untaxed=untaxed, amount_tax=tax, amount_total=total, amount_to_invoice=due,
            amount_unpaid=due, user_id=user, team_id=random.choice((1, 1, 5)), company_id=2 if dollars else 1,
            currency_id=DOLLAR if dollars else EURO, warehouse_id=1,
            client_order_ref=f"PO/{random.randrange(10000)}" if random.random() < 0.5 else None,
            opportunity_id=random.randrange(1, self.leads + 1) if self.leads and random.random() < 0.45 else None,
            delivery_status="pending" if state == "sale" else None,
            validity_date=f"{self.seeder.start - timedelta(days=days - 30):%Y-%m-%d}",
            note="<p>Merci – “à bientôt”</p>" if random.random() < 0.3 else None,
            payment_term_id=random.choice((4, 6, None)),
        )  # fmt: skip
        if invoiced:
            self._invoice(random, partner, dollars, days * 0.9, user, name, lines)

    def _lines(
        self, random: Random, order: int, created: str, written: str, state: str, invoiced: bool, partner: int, user: int,
        dollars: bool,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Load an order's lines; returns the values of those with amounts."""
        answer = []
        shared = {
            "order_id": order, "order_partner_id": partner, "salesman_id": user, "state": state,
            "company_id": 2 if dollars else 1, "currency_id": DOLLAR if dollars else EURO,
        }  # fmt: skip
        for position in range(random.randrange(2, 7)):
            if random.random() < 0.1:
                kind = random.choice(("line_section", "line_note"))
                text = "Section “A”" if kind == "line_section" else "Delivery in two parts"
                self.seeder.add("sale.order.line", created, written, user, name=text, display_type=kind, **shared)
                continue
            product, name, price = random.choice(self.products)
            if random.random() < 0.005:
                product = None  # a line nobody can count
            quantity, discount = float(random.randrange(1, 13)), random.choice((0.0, 0.0, 0.0, 5.0, 12.5))
            taxes = (3,) if not dollars else ()
            subtotal, tax, total = amounts(quantity, price, discount, sum(TAX_RATES[t] for t in taxes))
            values = {
                "product_id": product, "name": name, "product_uom_qty": quantity, "product_uom": 1, "price_unit": price,
                "discount": discount, "tax_id": taxes, "price_subtotal": subtotal, "price_tax": tax, "price_total": total,
                "price_reduce_taxexcl": round(price * (1 - discount / 100), 2), "sequence": 10 + position,
                "price_reduce_taxinc": round(total / quantity, 2), "qty_delivered_method": "stock_move",
                "qty_invoiced": quantity if invoiced else 0.0, "qty_delivered": quantity if invoiced else 0.0,
                "qty_to_invoice": quantity if state == "sale" and not invoiced else 0.0,
                "untaxed_amount_invoiced": subtotal if invoiced else 0.0,
                "untaxed_amount_to_invoice": subtotal if state == "sale" and not invoiced else 0.0,
                "invoice_status": "invoiced" if invoiced else "to invoice" if state == "sale" else "no",
            }  # fmt: skip
            self.seeder.add("sale.order.line", created, written, user, **shared, **values)
            answer.append(values)
        return answer

    def _number(self, prefix: str) -> int:
        self.sequences[prefix] = self.sequences.get(prefix, 0) + 1
        return self.sequences[prefix]

    def _invoice(
        self,
        random: Random,
        partner: int,
        dollars: bool,
        days: float,
        user: int,
        origin: str,
        lines: list[dict[str, Any]],
    ) -> None:
        self._move(random, "out_invoice", "INV", 1, partner, dollars, days, user, origin, lines)
        if random.random() < 0.06:
            self._move(random, "out_refund", "RINV", 1, partner, dollars, days * 0.8, user, origin, lines[:1])

    def _bill(self, number: int) -> None:
        random = self.world.random("bill", number)
        product, name, price = random.choice(self.products)
        quantity = float(random.randrange(5, 60))
        subtotal, tax, total = amounts(quantity, price / 2, 0.0, 0.19)
        line = {
            "product_id": product, "name": name, "product_uom_qty": quantity, "price_unit": round(price / 2, 2),
            "discount": 0.0, "tax_id": (3,), "price_subtotal": subtotal, "price_tax": tax, "price_total": total,
        }  # fmt: skip
        partner = self.companies[random.randrange(self.world.companies)]
        self._move(random, "in_invoice", "BILL", 2, partner, False, 300 * random.random(), 2, None, [line])

    def _move(
        self, random: Random, kind: str, prefix: str, journal: int, partner: int, dollars: bool, days: float, user: int,
        origin: str | None, lines: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        created = self.seeder.moment(random, days)
        written = self.seeder.moment(random, days * random.random())
        state = "draft" if random.random() < 0.08 else "posted"
        paid = state == "posted" and random.random() < 0.7
        sequence = self._number(prefix)
        year = created[:4]
        name = "/" if state == "draft" else f"{prefix}/{year}/{sequence:05d}"
        sign = -1 if kind in ("out_refund", "in_invoice") else 1
        untaxed = round(sum((line["price_subtotal"] for line in lines), 0.0), 2)
        total = round(sum((line["price_total"] for line in lines), 0.0), 2)
        shared = {
            "currency_id": DOLLAR if dollars else EURO, "company_id": 2 if dollars else 1, "date": created[:10],
            "invoice_date": created[:10], "partner_id": partner, "journal_id": journal,
        }  # fmt: skip
        move = self.seeder.add(
            "account.move", created, written, user, name=name, move_type=kind, state=state, invoice_origin=origin,
            payment_state="paid" if paid else "not_paid", commercial_partner_id=partner, invoice_user_id=user,
            invoice_date_due=f"{self.seeder.start - timedelta(days=days - 30):%Y-%m-%d}", team_id=1,
            sequence_prefix=f"{prefix}/{year}/" if state == "posted" else "", ref="", partner_shipping_id=partner,
            sequence_number=sequence if state == "posted" else 0, payment_reference=name if state == "posted" else None,
            invoice_partner_display_name=self.database["res.partner"].labels[partner][1],  # type: ignore[index]
            posted_before=state == "posted", **shared, **move_totals(untaxed, total, sign, paid),
        )  # fmt: skip
        entry = {"move_id": move, "move_name": name, "parent_state": state, "ref": "", **shared}
        entry["company_currency_id"] = entry["currency_id"]

        def item(account: int, balance: float, **values: Any) -> None:
            balance = round(balance, 2)
            money = {
                "balance": balance,
                "amount_currency": balance,
                "debit": max(balance, 0.0),
                "credit": max(-balance, 0.0),
            }
            self.seeder.add("account.move.line", created, written, user, account_id=account, **money, **entry, **values)

        for position, line in enumerate(lines):
            copied = {name: line[name] for name in ("product_id", "name", "price_unit", "discount", "price_subtotal")}
            item(
                24 if kind != "in_invoice" else 30, -sign * line["price_subtotal"], **copied, tax_ids=line["tax_id"],
                quantity=line["product_uom_qty"], price_total=line["price_total"], product_uom_id=1,
                display_type="product", sequence=position + 1,
            )  # fmt: skip
        if total != untaxed:
            item(19, -sign * (total - untaxed), name="19%", display_type="tax", tax_line_id=3, sequence=10000)
        item(
            6 if kind != "in_invoice" else 14, sign * total, name=name, display_type="payment_term", sequence=12000,
            date_maturity=created[:10], reconciled=paid, amount_residual=0.0 if paid else sign * total,
        )  # fmt: skip
