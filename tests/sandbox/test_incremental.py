"""What makes incremental reading hard on the real server happens here, too: ties, drift, late commits, quiet changes."""

from datetime import datetime, timedelta
from typing import Any

from sandbox.server import Sandbox

EVERYTHING: dict[str, Any] = {"active_test": False}


def keyset(rpc: Any, model: str, window: list[Any], page: int) -> list[dict[str, Any]]:
    """The reading that holds: a window of write_date, by ascending id."""
    found: list[dict[str, Any]] = []
    last = 0
    while True:
        domain = [*window, ["id", ">", last]]
        rows = rpc.call(model, "search_read", domain, ["write_date"], order="id", limit=page, context=EVERYTHING)
        found += rows
        if len(rows) < page:
            return found
        last = rows[-1]["id"]


def test_a_window_read_by_id_is_complete_and_free_of_duplicates(rpc: Any, sandbox: Sandbox) -> None:
    window = [["write_date", ">=", "2026-10-01 00:00:00"], ["write_date", "<", "2026-11-14 00:00:00"]]
    found = [row["id"] for row in keyset(rpc, "crm.lead", window, 90)]
    stored = sandbox.truth("northwind", "crm.lead", "write_date")
    inside = [row["id"] for row in stored if row["write_date"] and "2026-10-01" <= row["write_date"] < "2026-11-14"]
    assert found == inside


def test_rows_without_write_date_match_no_window_but_can_be_asked_for(rpc: Any, sandbox: Sandbox) -> None:
    missing = [row["id"] for row in sandbox.truth("northwind", "crm.lead", "write_date") if row["write_date"] is None]
    assert len(missing) == 25
    assert rpc.call("crm.lead", "search", [["write_date", "=", False]], order="id", context=EVERYTHING) == missing
    everything = rpc.call("crm.lead", "search", [["write_date", ">", "1970-01-01"]], context=EVERYTHING)
    assert not set(everything) & set(missing)


def test_a_cursor_greater_than_the_last_seen_second_never_gets_past_a_block_of_ties(rpc: Any, sandbox: Sandbox) -> None:
    stored = [row["write_date"] for row in sandbox.truth("northwind", "crm.lead", "write_date") if row["write_date"]]
    tie = max(set(stored), key=stored.count)
    assert stored.count(tie) > 200, "a bulk import shares one write_date to the microsecond"
    assert not tie.endswith(".000000")
    cursor, seen = tie[:19], set()
    for _ in range(6):
        domain = [["write_date", ">", cursor]]
        rows = rpc.call(
            "crm.lead", "search_read", domain, ["write_date"], order="write_date", limit=50, context=EVERYTHING
        )
        seen |= {row["id"] for row in rows}
        cursor = rows[-1]["write_date"]
    assert cursor == tie[:19]
    assert len(seen) == 50, "six pages, and still the first fifty"


def test_paging_by_offset_loses_rows_while_somebody_writes(rpc: Any, sandbox: Sandbox) -> None:
    found: list[int] = []
    for page in range(0, 2000, 100):
        options = {"order": "write_date", "limit": 100, "offset": page, "context": EVERYTHING}
        rows = rpc.call("crm.lead", "search", [["write_date", "!=", False]], **options)
        found += rows
        if not rows:
            break
        rpc.call("crm.lead", "write", found[:40], {"color": page % 7})
    assert set(sandbox.ids("northwind", "crm.lead")) - set(found) - _without_write_date(sandbox), "rows were lost"


def _without_write_date(sandbox: Sandbox) -> set[int]:
    return {row["id"] for row in sandbox.truth("northwind", "crm.lead", "write_date") if row["write_date"] is None}


def test_a_late_commit_appears_with_a_write_date_in_the_past(rpc: Any, sandbox: Sandbox) -> None:
    held = sandbox.transaction("northwind", "crm.lead", {"name": "late"}, hold_seconds=60)
    changed = sandbox.transaction("northwind", "crm.lead", {"name": "changed late"}, hold_seconds=60, id=7)
    other = rpc.call("crm.lead", "create", {"name": "meanwhile"})
    assert other > held["id"], "the id was taken when the transaction began"
    assert rpc.call("crm.lead", "search", [["id", "=", held["id"]]]) == []
    now = datetime.fromisoformat(sandbox.health()["now"])
    sandbox.advance((now + timedelta(seconds=61)).isoformat())
    rows = rpc.call("crm.lead", "read", [held["id"], 7, other], ["name", "write_date"])
    assert [row["name"] for row in rows] == ["late", "changed late", "meanwhile"]
    stamps = {row["id"]: row["write_date"] for row in sandbox.truth("northwind", "crm.lead", "write_date")}
    assert stamps[held["id"]] == held["write_date"]
    assert stamps[7] == changed["write_date"]
    assert stamps[held["id"]] < stamps[7] < stamps[other], "committed last, stamped first"


def test_a_held_transaction_commits_when_the_clock_moves(rpc: Any, sandbox: Sandbox) -> None:
    held = sandbox.transaction("northwind", "crm.lead", {"name": "tomorrow"}, hold_seconds=3600)
    assert held["id"] not in sandbox.ids("northwind", "crm.lead")
    sandbox.advance("2026-11-14T06:00:00Z")
    assert held["id"] in sandbox.ids("northwind", "crm.lead")


def test_what_moves_write_date_and_what_does_not(rpc: Any, sandbox: Sandbox) -> None:
    def stamp(model: str, record_id: int) -> str:
        rows = {row["id"]: row["write_date"] for row in sandbox.truth("northwind", model, "write_date")}
        return rows[record_id]

    lead = rpc.call("crm.lead", "create", {"name": "watched", "stage_id": 2, "type": "lead"})
    first = stamp("crm.lead", lead)
    before = rpc.call("crm.lead", "read", [lead], ["stage_id"])[0]["stage_id"]
    rpc.call("crm.stage", "write", [2], {"name": "Checked"})
    after = rpc.call("crm.lead", "read", [lead], ["stage_id"])[0]["stage_id"]
    assert (before[0], after) == (2, [2, "Checked"])
    assert before[1] != "Checked"
    assert stamp("crm.lead", lead) == first, "renaming the target leaves the row alone"
    rpc.call("crm.lead", "write", [lead], {"type": "lead"})
    second = stamp("crm.lead", lead)
    assert second > first, "writing the same value moves it"
    rpc.call("crm.lead", "action_archive", [lead])
    assert stamp("crm.lead", lead) > second
    order = rpc.call("sale.order", "create", {"partner_id": 101})
    line = rpc.call(
        "sale.order.line", "create", {"order_id": order, "name": "x", "product_uom_qty": 2, "price_unit": 10}
    )
    third = stamp("sale.order", order)
    rpc.call("sale.order.line", "write", [line], {"product_uom_qty": 5, "tax_id": [[6, 0, [3]]]})
    assert stamp("sale.order", order) > third, "a changed line moves its order"
    assert rpc.call("sale.order", "read", [order], ["amount_total", "order_line"])[0] == {
        "id": order,
        "amount_total": 59.5,
        "order_line": [line],
    }
    rpc.call("sale.order", "unlink", [order])
    assert rpc.call("sale.order.line", "read", [line], ["name"]) == [], "lines go with their order"


def test_raw_sql_leaves_write_date_alone(rpc: Any, sandbox: Sandbox) -> None:
    lead = rpc.call("crm.lead", "create", {"name": "by sql"})
    before = rpc.call("crm.lead", "read", [lead], ["write_date"])
    sandbox.write("northwind", "crm.lead", [lead], {"name": "quietly"}, sql=True)
    assert rpc.call("crm.lead", "read", [lead], ["write_date"]) == before
    assert rpc.call("crm.lead", "read", [lead], ["name"])[0]["name"] == "quietly"
    sandbox.write("northwind", "crm.lead", [lead], {"write_date": None}, sql=True)
    assert rpc.call("crm.lead", "read", [lead], ["write_date"])[0]["write_date"] is False


def test_pages_show_changes_at_once_also_of_labels(rpc: Any) -> None:
    partner = rpc.call("res.partner", "create", {"name": "Old name", "is_company": True})
    contact = rpc.call("res.partner", "create", {"name": "Someone", "parent_id": partner})
    lead = rpc.call("crm.lead", "create", {"name": "x", "partner_id": contact})

    def shown() -> Any:
        return rpc.call("crm.lead", "search_read", [["id", "=", lead]], ["partner_id"])[0]["partner_id"]

    assert shown() == [contact, "Old name, Someone"]
    rpc.call("res.partner", "write", [partner], {"name": "New name"})
    assert shown() == [contact, "New name, Someone"]
    assert rpc.call("res.partner", "read", [partner], ["child_ids"])[0]["child_ids"] == [contact]
    rpc.call("res.partner", "unlink", [contact])
    assert shown() is False
