"""podium's AWS account as days pass: deterministic, told exactly, one story with podium's Odoo, metering files in a folder."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sandbox.aws.shop import build
from sandbox.identities import Identities
from sandbox.server import Sandbox, running
from sandbox.world import World

START = "2026-11-14"
ENTITIES = ("opportunities", "aws_opportunity_summaries", "solutions", "engagements", "invitations", "benefit_applications",
            "benefit_allocations", "products", "agreements", "meter_usage")  # fmt: skip


def contents(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    """Entity -> id -> record."""
    keys = {"aws_opportunity_summaries": "RelatedOpportunityId", "products": "EntityId", "agreements": "agreementId",
            "meter_usage": "metering_record_id"}  # fmt: skip
    return {
        name: {row[keys.get(name, "Id")]: row for row in sandbox.records("aws", "podium", name)} for name in ENTITIES
    }


def test_days_pass_the_same_way_in_one_step_or_many_and_are_told_exactly() -> None:
    with running(start=START, seed=3, sources="aws") as sandbox:
        before = contents(sandbox)
        told = sandbox.advance("2026-12-05")["aws"]["podium"]
        at_once = contents(sandbox)
    with running(start=START, seed=3, sources="aws") as sandbox:
        assert contents(sandbox) == before
        for to in ("2026-11-15", "2026-11-17T13:30:00Z", "2026-11-30", "2026-12-05"):
            sandbox.advance(to)
        assert contents(sandbox) == at_once
    seen = set()
    for entity, old in before.items():
        new, said = at_once[entity], told.get(entity, {"created": [], "updated": [], "deleted": []})
        assert set(said["created"]) == set(new) - set(old), entity
        assert set(said["deleted"]) == set(old) - set(new), entity
        assert set(said["updated"]) == {key for key in set(old) & set(new) if old[key] != new[key]}, entity
        seen |= {(entity, kind) for kind in said if said[kind]}
    assert seen >= {("opportunities", "created"), ("opportunities", "updated"), ("invitations", "updated"),
                    ("engagements", "updated"), ("benefit_applications", "updated"), ("agreements", "updated"),
                    ("products", "updated"), ("meter_usage", "created"), ("meter_usage", "updated")}  # fmt: skip


def test_another_seed_tells_another_story(tmp_path: Path) -> None:
    names = []
    for seed in (1, 2):
        world, start = World("podium", seed, 24), datetime(2026, 11, 14, tzinfo=UTC)
        shop = build(world, start, 20, tmp_path, Identities())
        names.append([row["Project"]["Title"] for row in shop.catalogs["AWS"].opportunities])
    assert names[0] != names[1]


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_the_metering_feed_is_a_folder_of_files_one_a_day_with_corrections(tmp_path: Path) -> None:
    with running(start=START, seed=7, sources="aws", folder=tmp_path) as sandbox:
        folder = Path(sandbox.health()["sources"]["aws"]["podium"]["meter_usage_folder"])
        assert folder == tmp_path / "podium" / "marketplace"
        before = sorted(file.name for file in folder.iterdir())
        assert before[-1] == "meter_usage_2026-11-12.csv", "yesterday's comes at four in the morning"
        told = sandbox.advance("2026-11-28")["aws"]["podium"]["meter_usage"]
        files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
        days = [file.name for file in files if "corrected" not in file.name]
        assert days[-1] == "meter_usage_2026-11-26.csv"
        assert len(set(days) - set(before)) == 14
        latest = {row["metering_record_id"]: row for file in files for row in read(file)}
        assert latest == {row["metering_record_id"]: row for row in sandbox.records("aws", "podium", "meter_usage")}
        corrected = [row["metering_record_id"] for file in files if "corrected" in file.name for row in read(file)]
        assert corrected
        assert set(told["updated"]) <= set(corrected)
        for row in latest.values():
            assert row["timestamp"] < row["sent_at"]
        assert any(row["customer_identifier"] == "" for row in latest.values())
        assert any(row["allocations"] for row in latest.values())


def test_customers_are_those_of_podiums_odoo() -> None:
    with running(start=START, seed=7, sources="aws,odoo", databases="podium") as sandbox:
        accounts = {row["account_id"] for row in sandbox.truth("podium", "c.aws.accounts")}
        buyers = {row["acceptor"]["accountId"] for row in sandbox.records("aws", "podium", "agreements")}
        assert buyers <= accounts
        leads = {row["id"]: row["name"] for row in sandbox.truth("podium", "crm.lead")}
        for row in sandbox.records("aws", "podium", "opportunities"):
            if row["PartnerOpportunityIdentifier"]:
                assert row["Project"]["Title"] == leads[int(row["PartnerOpportunityIdentifier"])]
        told = sandbox.identities("podium")
        deals = {one["id"] for one in told if (one["kind"], one["source"]) == ("deal", "partner_central")}
        assert deals == {row["Id"] for row in sandbox.records("aws", "podium", "opportunities")}
        assert {"leads", "agreements"} <= {one["entity"] for one in told}


def test_records_can_be_changed_from_outside_and_a_temporary_feed_goes_with_the_sandbox() -> None:
    with running(start=START, seed=7, sources="aws", records=10) as sandbox:
        folder = Path(sandbox.health()["sources"]["aws"]["podium"]["meter_usage_folder"])
        assert folder.is_dir()
        before = contents(sandbox)
        key = min(before["opportunities"])
        sandbox.change("aws", "podium", "opportunities", put=[{"Id": key, "LifeCycle": {"Stage": "Launched"}}])
        after = contents(sandbox)["opportunities"][key]
        old = before["opportunities"][key]
        assert after["LifeCycle"] == {**old["LifeCycle"], "Stage": "Launched"}
        assert after["LastModifiedDate"] > old["LastModifiedDate"]
        sandbox.change(
            "aws", "podium", "aws_opportunity_summaries", put=[{"RelatedOpportunityId": key, "Visibility": "Limited"}]
        )
        assert contents(sandbox)["aws_opportunity_summaries"][key]["Visibility"] == "Limited"
        stamped = sandbox.change("aws", "podium", "opportunities", put=[{"LastModifiedDate": "2020-01-01T00:00:00Z"}])
        assert contents(sandbox)["opportunities"][stamped[0]]["LastModifiedDate"] == "2020-01-01T00:00:00Z"
        assert sandbox.change("aws", "podium", "opportunities", put=[{"Id": "O99"}]) == ["O99"]
        assert set(contents(sandbox)["opportunities"]) == {*before["opportunities"], stamped[0], "O99"}
        assert "O99" in contents(sandbox)["aws_opportunity_summaries"]
        for entity in ENTITIES[2:-1]:
            made = sandbox.change("aws", "podium", entity, put=[{}])
            assert made[0] not in before[entity]
            assert made[0] in contents(sandbox)[entity]
            sandbox.change("aws", "podium", entity, delete=made)
            assert made[0] not in contents(sandbox)[entity]
    assert not folder.exists()
