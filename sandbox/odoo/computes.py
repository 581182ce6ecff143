"""Stored computed fields and defaults: the few on which readers depend.

`defaults` fills a new record, `stored` computes what follows from the values of the same record, `after` passes a
change on to other records (order totals, complete names of contacts), `recompute` does the latter for one parent.
"""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.odoo.records import Records
    from sandbox.odoo.store import Row, Table

TAX_RATES = {1: 0.15, 2: 0.15, 3: 0.19, 4: 0.07}
"""account.tax id -> rate; 1 and 2 were recorded, 3 and 4 are German VAT."""

_LINES = {
    "sale.order.line": ("sale.order", "order_id"),
    "account.move.line": ("account.move", "move_id"),
    "c.billing.bill.line": ("c.billing.bill", "bill_id"),
}


def amounts(quantity: float, price: float, discount: float, rate: float) -> tuple[float, float, float]:
    """Subtotal, tax and total of a line, rounded to cents."""
    subtotal = round(quantity * price * (1 - discount / 100), 2)
    tax = round(subtotal * rate, 2)
    return subtotal, tax, round(subtotal + tax, 2)


def normalized_email(text: str | None) -> str | None:
    """The single address in a text, lower-case, or None where there is none or more than one."""
    found = re.findall(r"[^\s<>,;\"]+@[^\s<>,;\"]+\.[^\s<>,;\"]+", text or "")
    return found[0].lower() if len(found) == 1 else None


def sanitized_phone(text: str | None) -> str | None:
    """The phone number without what people put between its digits."""
    return re.sub(r"[^\d+]", "", text) or None if text else None


def tax_rate(tax_ids: Any) -> float:
    """The rate of a line's taxes together."""
    return sum(TAX_RATES.get(tax, 0.0) for tax in tax_ids or ())


def defaults(records: "Records", table: "Table", values: dict[str, Any]) -> dict[str, Any]:
    """Values a new record gets where the caller gave none."""
    answer: dict[str, Any] = {}
    if "active" in table.slots:
        answer["active"] = True
    for name in ("company_id", "currency_id"):
        if name in table.slots and table.name not in ("crm.lead", "res.partner", "product.template"):
            answer[name] = 1
    day = records.now[:10]
    if table.name == "crm.lead":
        kind = values.get("type") or "opportunity"
        answer |= {"type": kind, "priority": "0", "stage_id": 1, "team_id": 1, "user_id": records.uid}
        answer["date_last_stage_update"] = records.now
    elif table.name == "sale.order":
        partner = values.get("partner_id")
        answer |= {"state": "draft", "date_order": records.now[:19] + ".000000", "name": f"S{table.next_id:05d}"}
        answer |= {"partner_invoice_id": partner, "partner_shipping_id": partner, "user_id": records.uid, "team_id": 1}
        answer |= {"invoice_status": "no", "picking_policy": "direct", "warehouse_id": 1}
    elif table.name == "sale.order.line":
        order = records.database["sale.order"]
        parent = order.rows.get(values.get("order_id") or 0)
        answer |= {"sequence": 10, "name": "/", "qty_delivered_method": "stock_move"}
        if parent is not None:
            copied = {"order_partner_id": "partner_id", "salesman_id": "user_id", "state": "state"}
            answer |= {name: order.value(parent, source) for name, source in copied.items()}
            answer |= {name: order.value(parent, name) for name in ("company_id", "currency_id")}
    elif table.name == "account.move":
        answer |= {"state": "draft", "date": day, "journal_id": 1, "move_type": "entry", "auto_post": "no", "name": "/"}
    elif table.name == "res.partner":
        answer |= {"type": "contact", "partner_share": True}
    elif table.name == "pos.order":
        answer |= {"state": "draft", "date_order": records.now[:19] + ".000000", "name": "/"}
    return answer


def stored(records: "Records", table: "Table", values: dict[str, Any], row: "Row | None") -> dict[str, Any]:
    """Computed values of a record that gets `values`; `row` is what it was (None: new)."""

    def now(name: str) -> Any:
        return values[name] if name in values else table.value(row, name) if row is not None else None

    rule = _STORED.get(table.name)
    computed = rule(records, values, now) if rule is not None else {}
    return {name: value for name, value in computed.items() if name in table.slots and name not in values}


def _lead(records: "Records", values: dict[str, Any], now: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if "stage_id" in values and "probability" not in values and (stage := values["stage_id"]) is not None:
        answer["date_last_stage_update"] = records.now
        stages = records.database["crm.stage"]
        reached = stages.rows.get(stage)
        if reached is not None and stages.value(reached, "is_won"):
            answer |= {"probability": 100.0, "automated_probability": 100.0, "date_closed": records.now}
    probability = answer.get("probability", now("probability")) or 0.0
    if answer or values.keys() & {"expected_revenue", "probability"}:
        answer["prorated_revenue"] = round((now("expected_revenue") or 0.0) * probability / 100, 2)
    if "email_from" in values:
        clean = normalized_email(values["email_from"])
        answer["email_normalized"] = clean
        answer["email_state"] = None if not values["email_from"] else "correct" if clean else "incorrect"
    if "phone" in values:
        answer["phone_sanitized"] = sanitized_phone(values["phone"])
    return answer


def _partner(records: "Records", values: dict[str, Any], now: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if values.keys() & {"name", "parent_id"}:
        partners = records.database["res.partner"]
        parent = partners.rows.get(now("parent_id") or 0)
        name = now("name")
        answer["complete_name"] = f"{partners.value(parent, 'name')}, {name}" if parent and name else name
        if parent is not None:
            answer["commercial_partner_id"] = parent[0]
            answer["commercial_company_name"] = partners.value(parent, "name")
        elif now("is_company"):
            answer["commercial_company_name"] = name
    if "email" in values:
        answer["email_normalized"] = normalized_email(values["email"])
    if "phone" in values:
        answer["phone_sanitized"] = sanitized_phone(values["phone"])
    return answer


def _sale_line(records: "Records", values: dict[str, Any], now: Any) -> dict[str, Any]:
    quantity, price, discount = now("product_uom_qty") or 0.0, now("price_unit") or 0.0, now("discount") or 0.0
    subtotal, tax, total = amounts(quantity, price, discount, tax_rate(now("tax_id")))
    each = round(price * (1 - discount / 100), 2)
    return {
        "price_subtotal": subtotal,
        "price_tax": tax,
        "price_total": total,
        "price_reduce_taxexcl": each,
        "price_reduce_taxinc": round(total / quantity, 2) if quantity else 0.0,
    }


def _move_line(records: "Records", values: dict[str, Any], now: Any) -> dict[str, Any]:
    if now("display_type") not in (None, "product"):
        return {}
    subtotal, _, total = amounts(
        now("quantity") or 0.0, now("price_unit") or 0.0, now("discount") or 0.0, tax_rate(now("tax_ids"))
    )
    return {"price_subtotal": subtotal, "price_total": total}


def _category(records: "Records", values: dict[str, Any], now: Any) -> dict[str, Any]:
    if not values.keys() & {"name", "parent_id"}:
        return {}
    categories = records.database["product.category"]
    parent = categories.rows.get(now("parent_id") or 0)
    name = now("name")
    return {"complete_name": f"{categories.value(parent, 'complete_name')} / {name}" if parent else name}


_STORED = {
    "account.move.line": _move_line,
    "crm.lead": _lead,
    "product.category": _category,
    "res.partner": _partner,
    "sale.order.line": _sale_line,
}


def after(records: "Records", model: str, record_id: int, written: set[str]) -> None:
    """What a write means for other records."""
    if model in _LINES:
        parent_model, name = _LINES[model]
        parent = records.get(model, record_id, name)
        if parent is not None:
            recompute(records, parent_model, parent)
    elif model == "res.partner" and "name" in written:
        partners = records.database["res.partner"]
        slot = partners.slots["parent_id"]
        for child in [row[0] for row in partners.rows.values() if row[slot] == record_id]:
            row = partners.rows[child]
            records.touch(
                model, child, _partner(records, {"name": partners.value(row, "name")}, _reader(partners, row))
            )


def _reader(table: "Table", row: "Row") -> Any:
    return lambda name: table.value(row, name)


def parents(records: "Records", model: str, ids: set[int]) -> set[tuple[str, int]]:
    """Records whose totals change when those ids go."""
    if model not in _LINES:
        return set()
    parent_model, name = _LINES[model]
    return {(parent_model, parent) for i in ids if (parent := records.get(model, i, name)) is not None}


def recompute(records: "Records", model: str, record_id: int) -> None:
    """Totals of an order or move from its lines; bumps its write_date, as recorded."""
    table = records.database[model]
    row = table.rows.get(record_id)
    if row is None:
        return
    if model == "sale.order":
        lines = records.database["sale.order.line"]
        members = lines.pick(table.value(row, "order_line"))
        untaxed = round(sum((lines.value(line, "price_subtotal") or 0.0 for line in members), 0.0), 2)
        tax = round(sum((lines.value(line, "price_tax") or 0.0 for line in members), 0.0), 2)
        total = round(untaxed + tax, 2)
        due = total if table.value(row, "state") == "sale" and table.value(row, "invoice_status") != "invoiced" else 0.0
        totals = {"amount_untaxed": untaxed, "amount_tax": tax, "amount_total": total, "amount_to_invoice": due}
        records.touch(model, record_id, totals | {"amount_unpaid": due})
    elif model == "account.move":
        lines = records.database["account.move.line"]
        members = [
            line for line in lines.pick(table.value(row, "line_ids")) if lines.value(line, "display_type") == "product"
        ]
        sign = -1 if table.value(row, "move_type") in ("out_refund", "in_invoice") else 1
        untaxed = round(sum((lines.value(line, "price_subtotal") or 0.0 for line in members), 0.0), 2)
        total = round(sum((lines.value(line, "price_total") or 0.0 for line in members), 0.0), 2)
        records.touch(model, record_id, move_totals(untaxed, total, sign, table.value(row, "payment_state") == "paid"))
    else:
        records.touch(model, record_id, {})


def move_totals(untaxed: float, total: float, sign: int, paid: bool) -> dict[str, float]:
    """The amount columns of an invoice."""
    tax, residual = round(total - untaxed, 2), 0.0 if paid else total
    return {
        "amount_untaxed": untaxed,
        "amount_tax": tax,
        "amount_total": total,
        "amount_residual": residual,
        "amount_untaxed_signed": sign * untaxed,
        "amount_tax_signed": sign * tax,
        "amount_total_signed": sign * total,
        "amount_total_in_currency_signed": sign * total,
        "amount_residual_signed": sign * residual,
    }
