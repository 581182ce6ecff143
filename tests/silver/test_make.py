"""Making silver from bronze: once, again, bit by bit, and after a spec changed."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.silver.spec import BusinessRule, EntitySpec, load_specs
from resources import layout
from tests.silver.support import DAY, TENANT, Record, TestLake, recorded

TYPES = {"id": "integer", "name": "char", "is_company": "boolean", "email": "char", "write_date": "datetime"}


def partner(number: int, name: str | bool = "Ada", is_company: bool = False, email: str | bool = False) -> Record:
    return {"id": number, "name": name, "is_company": is_company, "email": email, "write_date": "2026-11-01 00:00:00"}


def files_of(lake: TestLake, *folders: str) -> dict[str, bytes | None]:
    storage = lake.lake.storage
    return {path: storage.read_bytes(path) for folder in folders for path in storage.files(folder, ".parquet")}


def contents(lake: TestLake, entity: str) -> tuple[list[Record], list[Record]]:
    return lake.silver(entity), lake.quarantine(entity)


def with_rule(spec: EntitySpec, sql: str, reject: bool) -> EntitySpec:
    rule = BusinessRule(check="added", sql=sql, message="says the new rule", reject=reject)
    return spec.model_copy(update={"rules": [*spec.rules, rule]})


def test_making_again_without_news_touches_no_file(lake: TestLake) -> None:
    assert lake.load("opportunity", recorded("crm_lead")).status == "ok"
    before = files_of(lake, "silver", "quarantine")
    again = lake.make("opportunity")
    assert (again.status, again.days, again.new_rows) == ("unchanged", [], 0)
    assert files_of(lake, "silver", "quarantine") == before


def test_making_by_force_gives_the_same_rows(lake: TestLake) -> None:
    lake.load("contact", [partner(1), partner(2, name=False), partner(3, email="x@")], TYPES)
    before = contents(lake, "contact")
    assert len(before[1]) == 1
    assert lake.make("contact", force=[DAY]).days == [DAY]
    assert contents(lake, "contact") == before


def test_a_second_sync_of_the_day_adds_its_rows(lake: TestLake) -> None:
    lake.load("contact", [partner(1), partner(2)], TYPES)
    made = lake.load("contact", [partner(1), partner(2, "Grace"), partner(3)], TYPES)
    assert (made.new_rows, made.rows) == (2, 4)
    assert [(row["source_id"], row["name"]) for row in lake.silver("contact")] == [
        ("1", "Ada"),
        ("2", "Ada"),
        ("2", "Grace"),
        ("3", "Ada"),
    ]


def test_each_day_has_its_own_file_and_only_the_new_one_is_made(lake: TestLake) -> None:
    for step in range(3):
        lake.source.put("res_partner", [partner(1, f"Ada {step}")], TYPES)
        lake.sync("res_partner", day=DAY + timedelta(days=step))
        assert lake.make("contact").days == [DAY + timedelta(days=step)]
    paths = [layout.silver_day(TENANT, "contact", DAY + timedelta(days=step)) for step in range(3)]
    assert list(files_of(lake, "silver")) == paths


def test_deleted_records_become_tombstones(lake: TestLake) -> None:
    lake.load("contact", [partner(1), partner(2)], TYPES)
    lake.source.put("res_partner", [partner(1)], TYPES)
    assert lake.sync("res_partner", sweep=True).rows_deleted == 1
    lake.make("contact")
    lake.make("account")
    grave = lake.silver("contact")[-1]
    assert (grave["canonical_id"], grave["change_type"]) == ("con-2-odoo", "delete")
    assert (grave["name"], grave["quality_score"], grave["validation_status"], grave["validation_errors"]) == (
        None,
        None,
        "valid",
        [],
    )
    # Whose record it was the tombstone cannot say, so both entities of the table have it.
    assert [row["change_type"] for row in lake.silver("account")] == ["delete"]
    assert lake.quarantine("contact") == []


def test_a_person_that_becomes_a_company_moves(lake: TestLake) -> None:
    lake.load("contact", [partner(1)], TYPES)
    lake.make("account")
    lake.load("contact", [partner(1, is_company=True)], TYPES)
    lake.make("account")
    assert [(row["source_id"], row["display_name"]) for row in lake.silver("account")] == [("1", "Ada")]
    assert len(lake.silver("contact")) == 1


def test_accounts_and_contacts_have_quarantine_files_of_their_own(lake: TestLake) -> None:
    lake.load("contact", [partner(1, name=False), partner(2, name=False, is_company=True)], TYPES)
    lake.make("account")
    assert [row["source_id"] for row in lake.quarantine("contact")] == ["1"]
    assert [row["source_id"] for row in lake.quarantine("account")] == ["2"]
    assert len(files_of(lake, "quarantine")) == 2
    lake.make("contact", force=[DAY])
    assert [row["source_id"] for row in lake.quarantine("account")] == ["2"]


def test_a_changed_spec_takes_effect_by_force_and_not_before(lake: TestLake) -> None:
    spec = load_specs()["contact"]
    lake.load("contact", [partner(1), partner(2, "Grace")], TYPES)
    before = files_of(lake, "silver", "quarantine")
    strict = with_rule(spec, "name <> 'Grace'", reject=True)
    assert lake.make(strict).days == []
    assert files_of(lake, "silver", "quarantine") == before
    assert lake.make(strict, force=[DAY]).rejected == 1
    assert [row["reasons"] for row in lake.quarantine("contact")] == [["added: says the new rule"]]
    assert [row["name"] for row in lake.silver("contact")] == ["Ada"]
    # And back: what is no longer rejected leaves the quarantine.
    assert lake.make(spec, force=[DAY]).rejected == 0
    assert contents(lake, "contact")[1] == []
    assert files_of(lake, "silver").keys() == before.keys()


def test_news_on_a_day_that_another_spec_made_makes_the_whole_day(lake: TestLake) -> None:
    flagging = with_rule(load_specs()["contact"], "name <> 'Grace'", reject=False)
    lake.load("contact", [partner(1, "Grace")], TYPES)
    lake.source.put("res_partner", [partner(2, "Grace")], TYPES)
    lake.sync("res_partner")
    lake.make(flagging)
    assert [row["validation_errors"] for row in lake.silver("contact")] == [["added: says the new rule"]] * 2


def test_a_rejected_version_leaves_the_earlier_one(lake: TestLake) -> None:
    lake.load("contact", [partner(1)], TYPES)
    lake.load("contact", [partner(1, name=False)], TYPES)
    lake.load("contact", [partner(1, "Grace")], TYPES)
    assert [row["name"] for row in lake.silver("contact")] == ["Ada", "Grace"]
    assert len(lake.quarantine("contact")) == 1


def test_lost_state_is_worked_out_again(lake: TestLake) -> None:
    lake.load("contact", [partner(1), partner(2, name=False)], TYPES)
    before = contents(lake, "contact")
    lake.lake.storage.remove(layout.asset_state("silver", TENANT, "contact"))
    assert lake.make("contact").days == [DAY]
    assert contents(lake, "contact") == before


@pytest.mark.parametrize("lost", ["silver", "quarantine"])
def test_lost_files_come_back_by_force(lake: TestLake, lost: str) -> None:
    lake.load("contact", [partner(1), partner(2, name=False)], TYPES)
    before = contents(lake, "contact")
    for path in files_of(lake, lost):
        lake.lake.storage.remove(path)
    lake.make("contact", force=[DAY])
    assert contents(lake, "contact") == before


PARTNERS = st.builds(
    partner,
    number=st.integers(1, 4),
    name=st.sampled_from(["Ada", "Grace", False]),
    is_company=st.booleans(),
    email=st.sampled_from([False, "ada@example.com", "foo@"]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[date, list[Record], bool]]:
    """Up to five syncs: the day, what the source then holds, whether a sweep looks for deletions."""
    steps = draw(
        st.lists(st.tuples(st.integers(0, 1), st.lists(PARTNERS, max_size=4), st.booleans()), min_size=1, max_size=5)
    )
    return [(DAY + timedelta(days=later), unique(records), sweep) for later, records, sweep in steps]


def unique(records: Sequence[Record]) -> list[Record]:
    return list({record["id"]: record for record in records}.values())


@settings(max_examples=15, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_bit_by_bit_gives_what_all_at_once_gives(history: list[tuple[date, list[Record], bool]], random: Any) -> None:
    with TemporaryDirectory() as folder:
        lake = TestLake(Path(folder))
        for day, records, sweep in history:
            lake.source.put("res_partner", records, TYPES)
            lake.sync("res_partner", sweep=sweep, day=day)
            if random.random() < 0.7:
                lake.make("contact")
                lake.make("account")
        by_steps = []
        for entity in ("contact", "account"):
            lake.make(entity)
            by_steps.append(contents(lake, entity))
        at_once = []
        for entity in ("contact", "account"):
            lake.make(entity, force=[DAY, DAY + timedelta(days=1)])
            at_once.append(contents(lake, entity))
        assert by_steps == at_once
        captured = sum(row["change_type"] == "upsert" for row in lake.bronze("res_partner"))
        kept = sum(row["change_type"] == "upsert" for silver, _ in at_once for row in silver)
        assert kept + sum(len(rejected) for _, rejected in at_once) == captured
