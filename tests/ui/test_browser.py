"""What a person sees in the Dagster UI of a running lake: a real browser, `lake up`, its daemon (make ui).

`SCREENSHOTS=docs/img make ui` runs the same over the whole demo and puts the pictures there, which README and docs show.
"""

import html
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from lake_config import source_types
from tests.ui.started import LakeUp, lake_up

pytestmark = pytest.mark.ui

PICTURES = os.environ.get("SCREENSHOTS")
WIDTH, HEIGHT = 1600, 1000
TIMEOUT_MS = 60_000
QUERY = (
    "SELECT stage, count(*) AS deals, sum(value) AS value, round(avg(probability)) AS chance"
    " FROM gold.opportunity GROUP BY stage ORDER BY value DESC"
)


@pytest.fixture(scope="module")
def running() -> Iterator[LakeUp]:
    """Two tenants of the demo; for pictures all of it."""
    with (
        lake_up(None, days=7, scale=1.0) if PICTURES else lake_up({"northwind": {}, "nkretail": {}}, days=2, scale=0.3)
    ) as started:
        started.wait(lambda: "Dagster UI on" in started.said(), "Dagster UI")
        yield started


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light").new_page()
        page.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        yield page
        browser.close()


def _picture(page: Page, name: str, height: int = HEIGHT) -> None:
    if PICTURES:
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.wait_for_timeout(3000)  # drawing and fading are over
        page.screenshot(path=Path(PICTURES) / f"{name}.png")
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def test_the_lineage_graph_shows_the_assets_by_group(running: LakeUp, page: Page) -> None:
    page.goto(f"{running.url}/asset-groups")
    for group in ("bronze_odoo", "silver", "gold", "operations"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    page.set_viewport_size({"width": WIDTH, "height": 1400})
    page.goto(f"{running.url}/assets/gold/pipeline_mart?view=lineage&lineageScope=upstream&lineageDepth=5")
    for asset in ("crm_lead", "res_partner", "opportunity", "account", "pipeline_mart"):
        expect(page.get_by_text(asset, exact=True).last).to_be_visible()
    _picture(page, "lineage", 1400)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def test_an_asset_has_partitions_by_day_and_tenant(running: LakeUp, page: Page) -> None:
    yesterday = str((datetime.now(UTC) - timedelta(days=1)).date())
    page.goto(f"{running.url}/assets/silver/opportunity?view=partitions&partition={yesterday}%7Cnorthwind")
    for tenant in ("nkretail", "northwind"):
        expect(page.get_by_text(tenant, exact=True).first).to_be_visible()
    expect(page.get_by_text(f"{yesterday}|northwind").first).to_be_visible()
    expect(page.get_by_text("quality_score").first).to_be_visible()
    _picture(page, "partitions")


def test_a_failed_check_shows_rows_and_stays_after_a_sync_without_news(running: LakeUp, page: Page) -> None:
    for lead, address, phone in ((5, "sales at example dot com", None), (8, "info@", "0"), (12, "none", "call me")):
        running.sandbox.write("northwind", "crm.lead", [lead], {"email_from": address, "phone": phone or False})
    running.lake("sync", "--tenant", "northwind")
    for tenant in ("nkretail", "northwind"):
        running.lake("sync", "--tenant", tenant)
    page.goto(f"{running.url}/assets/silver/opportunity?view=checks&checkDetail=format_rules")
    expect(page.get_by_text("Evaluation result").first).to_be_visible()
    expect(page.get_by_text("Failed").first).to_be_visible()
    expect(page.get_by_text("|northwind").first).to_be_visible()
    page.get_by_text("[Show Markdown]").first.click()
    expect(page.get_by_text("validation_errors").first).to_be_visible()
    expect(page.get_by_text("not an e-mail address").first).to_be_visible()
    _picture(page, "check")


def test_a_change_at_the_source_makes_the_sensor_request_a_run(running: LakeUp, page: Page) -> None:
    before = {run["runId"] for run in running.runs(dagster__sensor_name="odoo_changes")}
    running.sandbox.write("northwind", "crm.lead", [3], {"name": "Changed while the browser looked on"})

    def done() -> str | None:
        runs = running.runs(dagster__sensor_name="odoo_changes", revlake__tenant="northwind")
        return next((run["runId"] for run in runs if run["runId"] not in before and run["status"] == "SUCCESS"), None)

    run_id = running.wait(done, "run that the sensor requested")
    name = running.lake(
        "sql", "--format", "csv", "SELECT name FROM silver.opportunity WHERE canonical_id = 'opp-3-odoo'"
    )
    assert "Changed while the browser looked on" in name
    page.goto(f"{running.url}/runs/{run_id}")
    expect(page.get_by_text("Success").first).to_be_visible()
    expect(page.get_by_text("odoo_changes").first).to_be_visible()
    _picture(page, "run")


def test_schedules_and_sensors_are_on(running: LakeUp, page: Page) -> None:
    page.goto(f"{running.url}/automation")
    names = ["daily_sync", "weekly_sweep", "webhook_changes", "retry_failed_sources"]
    names += [f"{kind}_changes" for kind in source_types()]
    for name in names:
        expect(page.get_by_text(name, exact=True)).to_be_visible()
    switches = page.locator("label[class*=formatSwitch] input")
    expect(switches).to_have_count(len(names))
    for number in range(len(names)):
        expect(switches.nth(number)).to_be_checked()
    _picture(page, "automation")


def test_past_days_are_made_again_from_bronze_in_one_run_per_tenant(running: LakeUp) -> None:
    today = datetime.now(UTC).date()
    days = [str(today - timedelta(days=number)) for number in (2, 1)]
    query = "mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {"
    query += " ... on LaunchBackfillSuccess { backfillId } } }"
    parameters = {
        "assetSelection": [{"path": ["silver", "opportunity"]}, {"path": ["gold", "pipeline_mart"]}],
        "partitionNames": [f"{day}|northwind" for day in days],
    }
    backfill = running.ask(query, params=parameters)["launchPartitionBackfill"]["backfillId"]
    runs = running.wait(
        lambda: [run for run in running.runs(dagster__backfill=backfill) if run["status"] in ("SUCCESS", "FAILURE")],
        "end of the backfill",
    )
    assert [run["status"] for run in runs] == ["SUCCESS"]
    made = running.lake(
        "sql",
        "--format",
        "csv",
        "--tenant",
        "northwind",
        f"SELECT DISTINCT run_id FROM gold.pipeline_mart_snapshots WHERE date IN ('{days[0]}', '{days[1]}')",
    )
    assert made.split() == ["run_id", runs[0]["runId"]]


def test_a_query_answers_in_the_terminal(running: LakeUp, page: Page) -> None:
    answer = running.lake("sql", QUERY, "--tenant", "northwind")
    assert "Negotiation" in answer or "Proposition" in answer
    command = f'$ lake sql "{QUERY}" \\\n      --tenant northwind'.replace(" FROM", "\n                 FROM")
    text = html.escape(f"{command}\n{answer}")
    style = "margin:0;padding:24px;background:#fff;color:#1c1e21;font:20px/1.18 'DejaVu Sans Mono',monospace"
    page.set_content(f"<body style='margin:0;display:inline-block'><pre style=\"{style}\">{text}</pre></body>")
    if PICTURES:
        page.locator("pre").screenshot(path=Path(PICTURES) / "query.png")
