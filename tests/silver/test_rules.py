"""Every rule of every spec, with a record that breaks it and one that does not.

The records are a real server's. Where the recordings hold none that breaks a rule, one that keeps it is changed in the fields
named here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lake_assets.silver.rules import Check, checks_of
from lake_assets.silver.spec import load_specs
from tests.silver.support import Record, TestLake, recorded, table_of

Picks = Callable[[Record], Any]


@dataclass(frozen=True)
class Case:
    """`keeps`: picks the recorded record that keeps the rule; it keeps all others too. `change`: what makes it break this
    one (only this one, except for `also`). `breaks`: picks a recorded record that breaks the rule instead. `first`:
    changes to the record before all else, where recordings have nothing of the kind."""

    entity: str
    rule: str
    keeps: Picks
    change: dict[str, Any] = field(default_factory=dict)
    breaks: Picks | None = None
    first: dict[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.entity}-{self.rule}"


def company(record: Record) -> bool:
    return record["is_company"] and record["email"] and record["phone"] and record["website"]


def person(record: Record) -> bool:
    plain = "@" in (record["email"] or "") and "<" not in record["email"] and record["email"] != "foo@"
    return not record["is_company"] and plain and record["phone"]


def opportunity(record: Record) -> bool:
    plain = "@" in (record["email_from"] or "") and "<" not in record["email_from"] and record["email_from"] != "foo@"
    return record["type"] == "opportunity" and plain and record["phone"] and record["user_id"]


def posted_invoice(record: Record) -> bool:
    return record["move_type"] == "out_invoice" and record["state"] == "posted"


def product_line(record: Record) -> bool:
    return not record["display_type"] and record["price_tax"]


def invoiced_product(record: Record) -> bool:
    return record["display_type"] == "product" and record["product_id"]


def quotation(record: Record) -> bool:
    return record["state"] == "draft" and record["validity_date"]


def anything(record: Record) -> bool:
    return True


UNREACHABLE: dict[str, Any] = dict.fromkeys(("email", "phone", "mobile", "website", "street", "parent_id"), False)
NAMELESS = {"name": False, "complete_name": False}

CASES = [
    Case("account", "display_name_required", company, NAMELESS),
    Case("account", "email_format", company, {"email": "info@"}),
    Case("account", "phone_format", company, {"phone": "ask reception"}),
    Case("account", "mobile_format", company, {"mobile": "12"}, first={"mobile": "+49 30 901820"}),
    Case("account", "website_without_spaces", company, {"website": "none yet"}),
    Case("account", "reachable", company, UNREACHABLE),
    Case("contact", "identified", person, {**UNREACHABLE, **NAMELESS}, also=("named",)),
    Case("contact", "address_type_values", person, {"type": "holiday home"}),
    Case("contact", "email_format", person, breaks=lambda record: record["email"] == "foo@"),
    Case("contact", "phone_format", person, {"phone": "+49 3"}),
    Case("contact", "mobile_format", person, {"mobile": "later"}, first={"mobile": "(846)-523-2111"}),
    Case("contact", "named", person, {"name": " "}),
    Case("invoice", "kind_required", posted_invoice, {"move_type": False}),
    Case("invoice", "kind_values", posted_invoice, {"move_type": "memo"}),
    Case("invoice", "state_values", posted_invoice, {"state": "pending"}),
    Case("invoice", "payment_state_values", posted_invoice, {"payment_state": "maybe"}),
    Case("invoice", "amounts_add_up", posted_invoice, {"amount_tax": 987654.32}),
    Case("invoice", "due_after_invoice", posted_invoice, {"invoice_date_due": "2020-01-01"}),
    Case("invoice", "posted_is_numbered", posted_invoice, {"name": "/"}),
    Case("invoice", "posted_is_dated", posted_invoice, {"invoice_date": False}),
    Case("invoice", "posted_has_partner", posted_invoice, {"partner_id": False}),
    Case(
        "invoice",
        "paid_leaves_nothing",
        lambda record: record["payment_state"] == "paid" and record["amount_residual"] == 0,
        {"amount_residual": 0.5},
    ),
    Case("invoice_line", "invoice_id_required", invoiced_product, {"move_id": False}),
    Case("invoice_line", "invoice_state_values", invoiced_product, {"parent_state": "open"}),
    Case("invoice_line", "line_type_values", invoiced_product, {"display_type": "joke"}),
    Case("invoice_line", "discount_range", lambda record: record["display_type"] == "tax", {"discount": 100.5}),
    Case("invoice_line", "balance_adds_up", lambda record: record["debit"], {"debit": 0.0}),
    Case("invoice_line", "account_named", invoiced_product, {"account_id": False}),
    Case(
        "invoice_line",
        "price_fits",
        lambda record: invoiced_product(record) and record["quantity"] > 1,
        {"quantity": 1000.0},
    ),
    Case("opportunity", "name_required", opportunity, {"name": "  "}),
    Case("opportunity", "kind_values", opportunity, {"type": "wish"}),
    Case("opportunity", "email_format", opportunity, breaks=lambda record: record["email_from"] == "foo@"),
    Case("opportunity", "phone_format", opportunity, {"phone": "none"}),
    Case("opportunity", "probability_range", opportunity, {"probability": 100.01}),
    Case("opportunity", "value_not_negative", opportunity, {"expected_revenue": -0.01}),
    Case(
        "opportunity",
        "owner_assigned",
        opportunity,
        breaks=lambda record: record["type"] == "opportunity" and not record["user_id"] and not record["email_from"],
    ),
    Case("pos_order", "order_number_required", anything, {"name": False}),
    Case("pos_order", "ordered_at_required", anything, {"date_order": False}),
    Case("pos_order", "state_values", anything, {"state": "open"}),
    Case("pos_order", "paid_in_full", anything, {"amount_paid": -5.0}),
    Case("pos_order", "tax_within_total", anything, {"amount_tax": 1e9}),
    Case("pos_order", "session_known", anything, {"session_id": False}),
    Case("pos_order_line", "order_id_required", anything, {"order_id": False}),
    Case("pos_order_line", "discount_range", anything, {"discount": -1.0}),
    Case("pos_order_line", "product_named", anything, {"product_id": False}),
    Case(
        "pos_order_line", "quantity_not_zero", anything, {"qty": 0.0, "price_subtotal": 0.0, "price_subtotal_incl": 0.0}
    ),
    Case(
        "pos_order_line",
        "refund_is_negative",
        lambda record: record["qty"] == 1,
        {"qty": 1.0, "price_unit": 9.0, "price_subtotal": 9.0, "price_subtotal_incl": 9.0},
        first={
            "refunded_orderline_id": [7, "Shop/0007"],
            "qty": -1.0,
            "price_unit": 9.0,
            "discount": 0.0,
            "price_subtotal": -9.0,
            "price_subtotal_incl": -9.0,
        },
    ),
    Case(
        "pos_order_line",
        "tax_has_the_amounts_sign",
        lambda record: not record["discount"] and record["price_subtotal_incl"] > 10,
        {"price_subtotal_incl": 1.0},
    ),
    Case("pos_order_line", "price_fits", lambda record: record["price_unit"] > 10, {"price_unit": 1e6}),
    Case("product", "product_template_id_required", anything, {"product_tmpl_id": False}),
    Case("product", "weight_range", anything, {"weight": -0.5}),
    Case("product", "volume_range", anything, {"volume": -1.0}),
    Case(
        "product",
        "barcode_check_digit",
        lambda record: len(record["barcode"] or "") == 13,
        {"barcode": "2100002000004"},
    ),
    Case("product_category", "name_required", anything, {"name": False}),
    Case("product_category", "not_its_own_parent", lambda record: record["parent_id"], {"parent_id": "self"}),
    Case("product_template", "name_required", anything, {"name": False}),
    Case("product_template", "kind_values", anything, {"type": "idea"}),
    Case("product_template", "list_price_range", anything, {"list_price": -1.0}),
    Case("product_template", "categorised", anything, {"categ_id": False}),
    Case("project", "name_required", anything, {"name": False}),
    Case("project", "status_values", anything, {"last_update_status": "great"}),
    Case("project", "ends_after_start", lambda record: record["date"] and record["date_start"], {"date": "2001-01-01"}),
    Case("sales_order", "order_number_required", quotation, {"name": ""}),
    Case("sales_order", "state_values", quotation, {"state": "won"}),
    Case("sales_order", "invoice_status_values", quotation, {"invoice_status": "yes"}),
    Case(
        "sales_order", "delivery_status_values", lambda record: record["delivery_status"], {"delivery_status": "lost"}
    ),
    Case("sales_order", "customer_named", quotation, {"partner_id": False}),
    Case("sales_order", "dated", quotation, {"date_order": False}),
    Case("sales_order", "amounts_add_up", quotation, {"amount_untaxed": -1.0}),
    Case("sales_order", "valid_after_order", quotation, {"validity_date": "2001-01-01"}),
    Case("sales_order_line", "order_id_required", product_line, {"order_id": False}),
    Case("sales_order_line", "line_type_values", product_line, {"display_type": "line_poem"}),
    Case("sales_order_line", "state_values", product_line, {"state": "won"}),
    Case(
        "sales_order_line", "discount_range", lambda record: record["display_type"] == "line_note", {"discount": 101.0}
    ),
    Case("sales_order_line", "product_named", product_line, {"product_id": False}),
    Case(
        "sales_order_line",
        "quantity_not_zero",
        product_line,
        {"product_uom_qty": 0.0, "price_subtotal": 0.0, "price_tax": 0.0, "price_total": 0.0},
    ),
    Case("sales_order_line", "amounts_add_up", product_line, {"price_tax": 0.0}),
    Case("sales_order_line", "price_fits", product_line, {"price_unit": 1e6}),
    Case("user", "login_required", anything, {"login": False}),
    Case("user", "has_contact", anything, {"partner_id": False}),
]


def check_of(entity: str, rule: str) -> Check:
    return next(check for check in checks_of(load_specs()[entity]) if check.name == rule)


def pair(case: Case, number: int) -> tuple[Record, Record]:
    """(kept, broken), with ids of their own."""
    records = recorded(table_of(case.entity))
    kept = next(record for record in records if case.keeps(record)) | case.first | {"id": 2 * number}
    if case.breaks is not None:
        return kept, next(record for record in records if case.breaks(record)) | {"id": 2 * number + 1}
    change = {name: [2 * number + 1, ""] if value == "self" else value for name, value in case.change.items()}
    return kept, kept | change | {"id": 2 * number + 1}


@lru_cache(maxsize=1)
def outcomes() -> dict[str, tuple[Record, Record]]:
    """Case -> what became of its two records. All records of an entity go through one lake."""
    found: dict[str, tuple[Record, Record]] = {}
    for entity in sorted({case.entity for case in CASES}):
        cases = [case for case in CASES if case.entity == entity]
        with TemporaryDirectory() as folder:
            lake = TestLake(Path(folder))
            lake.load(entity, [record for number, case in enumerate(cases, 1) for record in pair(case, number)])
            rows = {row["source_id"]: row for row in [*lake.silver(entity), *lake.quarantine(entity)]}
        for number, case in enumerate(cases, 1):
            found[case.name] = rows[str(2 * number)], rows[str(2 * number + 1)]
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_record_that_keeps_the_rule_is_valid(case: Case) -> None:
    kept, _ = outcomes()[case.name]
    assert kept["validation_errors"] == []
    assert kept["validation_status"] == "valid"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_record_that_breaks_the_rule_says_so(case: Case) -> None:
    _, broken = outcomes()[case.name]
    check = check_of(case.entity, case.rule)
    expected = {check.message, *(check_of(case.entity, rule).message for rule in case.also)}
    if check.severity == "reject":
        assert "validation_status" not in broken, "a rejected record belongs into quarantine"
        assert (set(broken["reasons"]), broken["status"]) == (expected, "open")
    else:
        assert (set(broken["validation_errors"]), broken["validation_status"]) == (expected, "flagged")


def test_every_rule_has_its_two_records() -> None:
    rules = [f"{entity}-{check.name}" for entity, spec in load_specs().items() for check in checks_of(spec)]
    tested = [case.name for case in CASES]
    assert sorted(set(rules) - set(tested)) == [], "each of these rules wants a Case above"
    assert sorted(tested) == sorted(set(tested) & set(rules)), "each rule wants one Case, and each Case a rule"


def test_a_format_error_costs_quality_where_the_column_counts() -> None:
    kept, broken = outcomes()["account-email_format"]
    assert broken["quality_score"] < kept["quality_score"] <= 1
