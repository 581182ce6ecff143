"""How often sources are asked, what a run reads, and that a sync whose budget ended goes on when it may."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake_assets.automation.polling import Polls, ask_all, poll_cost, poll_seconds
from lake_assets.automation.runs import bronze_selection, run_selection
from lake_assets.bronze.state import save_state
from lake_config import Settings, source_types
from sandbox.server import Sandbox
from tests.graph.test_automation import Sensing
from tests.lakes import SyncedLake, odoo_source

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BLOCKS: dict[str, dict[str, Any]] = {
    "odoo": {"url": "http://127.0.0.1:1/odoo", "database": "d", "username": "u", "password": "p"},
    "pipedrive": {"api_token": "t"},
    "zendesk": {"url": "http://127.0.0.1:1", "username": "u", "token": "t"},
    "salesforce": {"url": "http://127.0.0.1:1", "client_id": "c", "client_secret": "s"},
    "partner_central": {},
    "marketplace": {},
    "apn": {"username": "u", "password": "p"},
}


def source(kind: str, **more: Any) -> Any:
    return source_types()[kind].settings.model_validate({"type": kind, **BLOCKS[kind], **more})


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_a_days_polls_cost_less_than_a_twentieth_of_the_days_budget(kind: str) -> None:
    settings = source(kind)
    budget = source_types()[kind].daily_budget(settings)
    interval = poll_seconds(settings)
    assert interval >= 60
    if budget is not None:
        assert 86_400 / interval * poll_cost(settings) <= 0.05 * budget + 1e-6


def test_a_lower_cap_makes_polls_rarer() -> None:
    assert poll_seconds(source("pipedrive", max_per_day=3_000)) == 10 * poll_seconds(source("pipedrive"))
    few = source("odoo", max_per_day=1_000, tables=["crm_lead"])
    assert poll_seconds(few) == pytest.approx(86_400 / 50 * poll_cost(few))
    assert poll_cost(source("odoo")) > 20 > poll_cost(few)


def settings_of(**tenants: dict[str, Any]) -> Settings:
    return Settings.model_validate(
        {
            "lake": {"start_date": "2026-01-01"},
            "tenants": {slug: {"sources": sources} for slug, sources in tenants.items()},
            "path": Path("lake.yaml"),
        }
    )


def test_a_question_that_hangs_or_fails_keeps_no_other_waiting() -> None:
    hang = threading.Event()

    def question(name: str) -> str:
        if name == "hangs":
            hang.wait(30)
        if name == "fails":
            raise OSError("disk")
        return name.upper()

    names = ["a", "hangs", "fails", "b"]
    assert ask_all("test", names, question, seconds=2) == {"a": "A", "b": "B"}
    asked: list[str] = []
    ask_all("test", names, asked.append, seconds=2)
    assert sorted(asked) == ["a", "b", "fails"]
    hang.set()


def test_answers_are_in_the_order_of_the_names_whoever_is_first() -> None:
    second_is_done = threading.Event()

    def question(name: str) -> str:
        if name == "first":
            second_is_done.wait(10)
        else:
            second_is_done.set()
        return name

    assert list(ask_all("test", ["first", "second"], question)) == ["first", "second"]


def test_each_instance_is_asked_at_its_own_pace() -> None:
    asked: dict[str, float] = {}
    rare, often = source("pipedrive"), source("odoo")
    assert Polls(asked, NOW).due("a", "pipedrive", rare)
    later = Polls(asked, NOW + timedelta(minutes=5))
    assert later.due("a", "odoo", often)
    assert not later.due("a", "pipedrive", rare)
    assert later.due("b", "pipedrive", rare)
    assert Polls(asked, NOW + timedelta(seconds=poll_seconds(rare))).due("a", "pipedrive", rare)


def test_a_run_reads_the_source_types_that_its_tenant_has() -> None:
    settings = settings_of(a={"odoo": BLOCKS["odoo"], "crm": {"type": "pipedrive", **BLOCKS["pipedrive"]}}, b={})

    def kinds(*arguments: Any) -> set[str]:
        return {key.path[1] for key in bronze_selection(settings, *arguments)}

    assert kinds("a") == {"odoo", "pipedrive"}
    assert kinds("a", "crm") == kinds("a", "pipedrive") == {"pipedrive"}
    assert kinds("b") == set()
    above = {tuple(key.path) for key in run_selection(settings, "b")}
    assert {("silver", "opportunity"), ("gold", "pipeline_mart"), ("operations", "sync_outcome")} <= above


def test_a_sync_whose_budget_ended_goes_on_when_it_may(odoo: Sandbox, new_lake: Callable[..., SyncedLake]) -> None:
    lake = new_lake({"anna": {"odoo": odoo_source(odoo, tables=["crm_lead"])}})
    lake.capture("crm_lead")
    sensing = Sensing(lake, "odoo_changes")
    state = lake.state("crm_lead")

    def pause(until: datetime) -> None:
        save_state(lake.lake, "anna", "odoo", "crm_lead", replace(state, resumes_at=until))

    odoo.create("northwind", "crm.lead", {"name": "new"})
    pause(datetime.now(UTC) + timedelta(hours=1))
    odoo.reset_requests()
    assert sensing.tick() == []
    assert odoo.requests() == []
    pause(datetime.now(UTC) - timedelta(seconds=1))
    assert [request.run_key for request in sensing.tick()] == [f"anna-resume-{until_text(lake)}-1"]


def until_text(lake: SyncedLake) -> str:
    until = lake.state("crm_lead").resumes_at
    assert until is not None
    return f"{until:%Y%m%dT%H%M%S}"
