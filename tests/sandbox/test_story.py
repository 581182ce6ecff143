"""The story: the same for the same seed, lived day by day, with the imperfections of real data."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.context import Options
from sandbox.odoo import seed_northwind
from sandbox.server import Sandbox, running

MODELS = {
    "northwind": ("crm.lead", "res.partner", "sale.order", "sale.order.line", "account.move", "account.move.line"),
    "nkretail": ("pos.order", "pos.order.line", "pos.payment", "pos.session", "product.template"),
    "podium": ("c.aws.accounts", "c.billing.internal.cur", "c.aws.funding.request"),
}


def contents(sandbox: Sandbox) -> dict[tuple[str, str], Any]:
    return {
        (database, model): sandbox.truth(database, model) for database, models in MODELS.items() for model in models
    }


def test_same_seed_and_same_advances_give_the_same_content() -> None:
    results = []
    for _ in range(2):
        with running(start="2026-11-10", seed=3, scale=0.3, sources="odoo") as sandbox:
            changes = [sandbox.advance(to) for to in ("2026-11-11", "2026-11-12T15:30:00Z", "2026-11-14")]
            results.append((contents(sandbox), [change["odoo"] for change in changes]))
    assert results[0] == results[1]


def test_another_seed_tells_another_story() -> None:
    start = datetime(2026, 11, 10, tzinfo=UTC)
    names = []
    for seed in (1, 2):
        database, _ = seed_northwind.build(seed, start, 0.1)
        names.append([database["crm.lead"].value(row, "name") for row in database["crm.lead"].scan()])
    assert names[0] != names[1]


@pytest.fixture(scope="module")
def lived(sandbox: Sandbox) -> dict[str, Any]:
    """What advancing a week reported, and the contents before."""
    before = contents(sandbox)
    return {"before": before, "changes": sandbox.advance("2026-11-21")["odoo"], "after": contents(sandbox)}


def test_advance_reports_exactly_what_changed(lived: dict[str, Any]) -> None:
    for (database, model), rows in lived["before"].items():
        old, new = {row["id"]: row for row in rows}, {row["id"]: row for row in lived["after"][database, model]}
        said = lived["changes"][database].get(model, {"created": [], "changed": [], "deleted": []})
        assert said["created"] == sorted(set(new) - set(old)), (database, model)
        assert said["deleted"] == sorted(set(old) - set(new)), (database, model)
        moved = {i for i in set(old) & set(new) if old[i]["write_date"] != new[i]["write_date"]}
        assert set(said["changed"]) == moved, (database, model)


def test_write_dates_are_spread_over_the_time_that_passed(lived: dict[str, Any]) -> None:
    changed = lived["changes"]["northwind"]["crm.lead"]
    rows = {row["id"]: row["write_date"] for row in lived["after"]["northwind", "crm.lead"]}
    moments = [rows[i] for i in [*changed["created"], *changed["changed"]]]
    assert all("2026-11-14" <= moment < "2026-11-21" for moment in moments)
    assert len({moment[:10] for moment in moments}) == 7
    assert changed["deleted"]


def test_a_week_of_retail_has_sales_refunds_and_a_correction_of_an_older_line(lived: dict[str, Any]) -> None:
    lines = {row["id"]: row for row in lived["after"]["nkretail", "pos.order.line"]}
    said = lived["changes"]["nkretail"]["pos.order.line"]
    new = [lines[i] for i in said["created"]]
    assert 500 < len(new) < 3000
    assert any(line["qty"] < 0 and line["refunded_orderline_id"] in lines for line in new)
    orders = {row["id"]: row for row in lived["after"]["nkretail", "pos.order"]}
    corrected = [orders[lines[i]["order_id"]]["date_order"] for i in said["changed"]]
    assert any(moment < "2026-11-14" for moment in corrected), "an old date_order, a new write_date"
    closed = Counter(orders[i]["write_date"] for i in lived["changes"]["nkretail"]["pos.order"]["created"])
    assert closed.most_common(1)[0][1] > 20, "closing a session makes its orders final in one transaction"


def test_amounts_add_up(lived: dict[str, Any]) -> None:
    by_order: dict[int, float] = {}
    for line in lived["after"]["nkretail", "pos.order.line"]:
        by_order[line["order_id"]] = by_order.get(line["order_id"], 0.0) + line["price_subtotal_incl"]
    wrong = [
        o for o in lived["after"]["nkretail", "pos.order"] if abs(o["amount_total"] - by_order.get(o["id"], 0.0)) > 0.01
    ]
    assert not wrong
    lines: dict[int, float] = {}
    for line in lived["after"]["northwind", "sale.order.line"]:
        lines[line["order_id"]] = lines.get(line["order_id"], 0.0) + (line["price_total"] or 0.0)
    assert all(
        abs(o["amount_total"] - lines.get(o["id"], 0.0)) < 0.05 for o in lived["after"]["northwind", "sale.order"]
    )
    balance = Counter[int]()
    for item in lived["before"]["northwind", "account.move.line"]:
        balance[item["move_id"]] += round(100 * item["balance"])
    assert all(abs(rest) <= 1 for rest in balance.values()), "every entry is balanced"


def test_the_data_has_the_flaws_of_real_data(lived: dict[str, Any]) -> None:
    leads = lived["before"]["northwind", "crm.lead"]
    assert len(leads) == 1000
    share = {
        "archived": sum(not lead["active"] for lead in leads),
        "without partner": sum(lead["partner_id"] is None for lead in leads),
        "bad e-mail": sum(bool(lead["email_from"]) and not lead["email_normalized"] for lead in leads),
        "leads": sum(lead["type"] == "lead" for lead in leads),
    }
    assert all(20 < number < 500 for number in share.values()), share
    unnamed = [lead for lead in leads if not lead["name"]]
    assert 1 <= len(unnamed) <= 5
    assert any((lead["expected_revenue"] or 0) < 0 for lead in leads)
    assert any((lead["probability"] or 0) > 100 for lead in leads)
    assert any(
        not line["product_id"] and not line["display_type"] for line in lived["before"]["northwind", "sale.order.line"]
    )
    assert any(line["display_type"] for line in lived["before"]["northwind", "sale.order.line"])
    assert len({lead["stage_id"] for lead in leads}) >= 4
    assert len({lead["user_id"] for lead in leads}) >= 8
    orders = lived["before"]["nkretail", "pos.order"]
    assert 6000 < len(orders) < 8500
    weekdays = Counter(datetime.fromisoformat(order["date_order"][:10]).weekday() for order in orders)
    assert weekdays[5] > 2 * weekdays[6] > 0


def test_only_podium_has_the_partner_models_and_only_nkretail_has_brands(connect: Any) -> None:
    for database in ("northwind", "nkretail"):
        error = connect(database).error("c.aws.accounts", "search_read", [])
        assert error["message"] == "Object c.aws.accounts doesn't exist"
    assert connect("podium").call("c.billing.internal.cur", "search_count", []) > 100
    assert "product_brand_id" in connect("nkretail").call("product.template", "fields_get", attributes=["type"])
    assert "product_brand_id" not in connect("northwind").call("product.template", "fields_get", attributes=["type"])


def test_the_clock_only_moves_forward_and_the_date_header_follows(sandbox: Sandbox, rpc: Any) -> None:
    sandbox.advance("2026-12-01")
    sandbox.advance("2026-11-20")
    assert sandbox.health()["now"].startswith("2026-12-01")
    answer = rpc.post({"service": "common", "method": "version", "args": []})
    assert answer.headers["Date"].startswith("Tue, 01 Dec 2026")


def test_options_name_their_defaults() -> None:
    assert Options().databases == ("northwind", "nkretail", "podium")
