"""What goes wrong at a source: it is told, nothing is lost, and what does not need it goes on."""

from collections.abc import Callable

import pytest

from lake_assets.automation.outcome import failed_tables
from sandbox.server import Sandbox
from tests.lakes import SyncedLake, assert_lake_is_source, odoo_source

TABLES = ("crm_lead", "crm_stage", "res_country")


def test_a_good_sync_is_the_source_record_for_record(northwind: SyncedLake, odoo: Sandbox) -> None:
    assert northwind.sync()
    tables = ("crm_lead", "res_partner", "sale_order_line", "account_move")
    assert_lake_is_source(northwind, odoo, "northwind", tables)
    before = northwind.files("bronze")
    assert northwind.sync()
    assert northwind.files("bronze") == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"password": "wr0ng-s3cret"}, "wrong user or password"),
        ({"username": "nobody"}, "wrong user or password"),
        ({"database": "nowhere"}, "nowhere"),
        ({"password": "${NOT_SET_ANYWHERE}"}, "NOT_SET_ANYWHERE is not set"),
        ({"url": "http://127.0.0.1:1/odoo"}, "Connection refused"),
    ],
    ids=["wrong password", "unknown user", "unknown database", "missing variable", "nobody there"],
)
@pytest.mark.usefixtures("impatient")
def test_a_login_that_fails_fails_the_run_with_its_reason(
    northwind: SyncedLake, change: dict[str, str], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    good = {
        key: getattr(northwind.settings.tenants["northwind"].sources["odoo"], key)
        for key in change
        if key != "password"
    }
    northwind.reconfigure(change)
    assert not northwind.sync(*TABLES)
    for table in TABLES:
        state = northwind.state(table)
        assert (state.status, state.watermark) == ("failed", None)
        assert told in state.message
        assert "tenant northwind, source odoo" in state.message or "tenants.northwind.sources.odoo" in state.message
    assert northwind.files() == []
    assert "s3cret" not in capfd.readouterr().err
    northwind.reconfigure(good or {"password": "admin"})
    assert northwind.sync(*TABLES)
    assert northwind.state("crm_lead").failures == 0


def test_a_model_that_the_server_lacks_is_a_status_and_no_failure(northwind: SyncedLake, odoo: Sandbox) -> None:
    assert northwind.sync("crm_lead", "c_billing_bill")
    state = northwind.state("c_billing_bill")
    assert (state.status, state.watermark) == ("missing_at_source", None)
    assert "c.billing.bill" in state.message
    assert northwind.state("crm_lead").status == "ok"
    assert northwind.query("SELECT count(*) FROM raw.odoo_c_billing_bill") == [(0,)]


def test_a_tenant_without_sources_syncs_to_nothing(new_lake: Callable[..., SyncedLake]) -> None:
    lake = new_lake({"empty": {}})
    assert lake.sync("crm_lead")
    assert lake.files() == []


def test_a_field_that_is_removed_between_two_syncs_stays_readable(northwind: SyncedLake, odoo: Sandbox) -> None:
    odoo.field("northwind", "crm.lead", "x_region", "add", type="char", value="north")
    northwind.pull("crm_lead")
    odoo.field("northwind", "crm.lead", "x_region", "remove")
    changed = odoo.ids("northwind", "crm.lead")[0]
    odoo.write("northwind", "crm.lead", [changed], {"name": "after the removal"})
    northwind.pull("crm_lead")
    regions = dict(northwind.query("SELECT _source_id, x_region FROM raw.odoo_crm_lead"))
    assert regions.pop(str(changed)) is None
    assert set(regions.values()) == {"north"}
    assert northwind.query(f"SELECT name FROM silver.opportunity WHERE source_id = '{changed}'") == [
        ("after the removal",)
    ]


def test_a_field_that_silver_reads_may_vanish(northwind: SyncedLake, odoo: Sandbox) -> None:
    northwind.pull("crm_lead")
    odoo.field("northwind", "crm.lead", "city", "remove")
    odoo.field("northwind", "crm.lead", "priority", "remove")
    changed = odoo.ids("northwind", "crm.lead")[0]
    odoo.write("northwind", "crm.lead", [changed], {"name": "after the removal"})
    northwind.pull("crm_lead")
    assert northwind.query(f"SELECT name, city, priority FROM silver.opportunity WHERE source_id = '{changed}'") == [
        ("after the removal", None, None)
    ]
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


def test_a_field_that_changes_its_type_breaks_nothing(northwind: SyncedLake, odoo: Sandbox) -> None:
    odoo.field("northwind", "crm.lead", "x_code", "add", type="char", value="12")
    northwind.pull("crm_lead")
    odoo.field("northwind", "crm.lead", "x_code", "retype", type="integer")
    odoo.field("northwind", "crm.lead", "city", "retype", type="integer")
    changed = odoo.ids("northwind", "crm.lead")[0]
    odoo.write("northwind", "crm.lead", [changed], {"name": "after the change", "x_code": 13})
    northwind.pull("crm_lead")
    codes = dict(northwind.query("SELECT _source_id, x_code FROM raw.odoo_crm_lead"))
    assert str(codes.pop(str(changed))) == "13"
    assert {str(code) for code in codes.values()} == {"12"}
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


def test_a_schema_change_is_a_warning_that_names_the_field(northwind: SyncedLake, odoo: Sandbox) -> None:
    from dagster import AssetKey

    assert northwind.sync("crm_lead")
    odoo.field("northwind", "crm.lead", "x_new", "add", type="char", value="v")
    assert northwind.sync("crm_lead")
    records = northwind.instance.event_log_storage.get_asset_check_summary_records(
        _checks(AssetKey(["bronze", "odoo", "crm_lead"]))
    )
    record = next(iter(records.values())).last_check_execution_record
    assert record is not None
    assert record.event is not None
    assert record.event.dagster_event is not None
    evaluation = record.event.dagster_event.asset_check_evaluation_data
    assert (evaluation.passed, evaluation.severity.value) == (False, "WARN")
    told = "x_new added (char). The table was read in full, for the new fields' values."
    assert evaluation.description == told


def _checks(key: object) -> list:  # pyright: ignore[reportMissingTypeArgument]
    from dagster import AssetCheckKey

    return [AssetCheckKey(key, "schema_unchanged")]  # pyright: ignore[reportArgumentType]


def test_a_record_that_is_deleted_between_two_pages_costs_no_other(northwind: SyncedLake, odoo: Sandbox) -> None:
    northwind.reconfigure({"page_size": 10, "max_in_flight": 1})
    northwind.capture("crm_lead")
    ids = odoo.ids("northwind", "crm.lead")
    odoo.write("northwind", "crm.lead", ids, {"city": "Oslo"})
    odoo.fault("slow", model="crm.lead", method="search_read", after=2, seconds=0.7)
    import threading

    # Gone while the third page is on its way: one of a page already read, one of a page to come.
    timer = threading.Timer(0.4, lambda: odoo.unlink("northwind", "crm.lead", [ids[2], ids[45]]))
    timer.start()
    outcome = northwind.capture("crm_lead")["crm_lead"]
    timer.join()
    assert outcome.status == "ok"
    assert outcome.rows_read in (len(ids) - 1, len(ids) - 2)
    northwind.pull("crm_lead", sweep=True)
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


@pytest.mark.parametrize("login", ["lowpriv"])
def test_rights_to_a_model_taken_away_and_given_back_lose_nothing(
    odoo: Sandbox, new_lake: Callable[..., SyncedLake], login: str
) -> None:
    odoo.rights("northwind", login, "crm.lead", allow=True)
    odoo.rights("northwind", login, "crm.stage", allow=True)
    lake = new_lake({"northwind": {"odoo": odoo_source(odoo, login=login)}})
    assert lake.sync("crm_lead", "crm_stage")
    seen = lake.ids("silver.opportunity")
    odoo.rights("northwind", login, "crm.lead", allow=False)
    changed = odoo.ids("northwind", "crm.lead")[0]
    odoo.write("northwind", "crm.lead", [changed], {"name": "changed while hidden"})
    for _ in range(2):
        assert lake.sync("crm_lead", "crm_stage", sweep=True)  # a status, not a failure
        assert lake.state("crm_lead").status == "not_permitted"
        assert lake.ids("silver.opportunity") == seen
    odoo.rights("northwind", login, "crm.lead", allow=True)
    assert lake.sync("crm_lead", "crm_stage")
    assert lake.ids("silver.opportunity") == seen
    assert lake.query(f"SELECT name FROM silver.opportunity WHERE source_id = '{changed}'") == [
        ("changed while hidden",)
    ]
    assert_lake_is_source(lake, odoo, "northwind", ["crm_lead"])


def test_records_hidden_by_a_rule_are_not_deleted_without_confirmation(northwind: SyncedLake, odoo: Sandbox) -> None:
    northwind.pull("crm_lead")
    before = northwind.query("SELECT source_id, name, value FROM silver.opportunity ORDER BY 1")
    ids = odoo.ids("northwind", "crm.lead")
    odoo.rights("northwind", "admin", "crm.lead", domain=[["id", "<=", ids[20]]])
    northwind.pull("crm_lead", sweep=True)
    state = northwind.state("crm_lead")
    assert "--confirm-deletes" in state.message
    assert northwind.query("SELECT source_id, name, value FROM silver.opportunity ORDER BY 1") == before
    odoo.rights("northwind", "admin", "crm.lead", domain=[])
    northwind.pull("crm_lead", sweep=True)
    assert northwind.state("crm_lead").message == ""
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


def test_records_hidden_by_a_rule_come_back_after_a_confirmed_deletion(northwind: SyncedLake, odoo: Sandbox) -> None:
    """They come back unchanged, so nothing but the newest capture can tell that they live."""
    northwind.pull("crm_lead")
    before = northwind.query("SELECT source_id, name, value FROM silver.opportunity ORDER BY 1")
    ids = odoo.ids("northwind", "crm.lead")
    odoo.rights("northwind", "admin", "crm.lead", domain=[["id", "<=", ids[20]]])
    changed = ids[40]
    odoo.write("northwind", "crm.lead", [ids[40]], {"city": "Bergen"})
    northwind.pull("crm_lead", sweep=True, confirm_deletes=True)
    assert len(northwind.query("SELECT _source_id FROM raw.odoo_crm_lead")) == 21
    odoo.rights("northwind", "admin", "crm.lead", domain=[])
    northwind.pull("crm_lead", sweep=True)
    assert northwind.query("SELECT source_id, name, value FROM silver.opportunity ORDER BY 1") == before
    assert northwind.query(f"SELECT city FROM silver.opportunity WHERE source_id = '{changed}'") == [("Bergen",)]
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])


@pytest.mark.usefixtures("impatient")
def test_a_table_that_fails_fails_the_run_and_no_other_table(
    northwind: SyncedLake, odoo: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    northwind.reconfigure({"page_size": 20})
    odoo.fault("500", model="crm.lead", method="search_read", after=1, times=None)
    assert not northwind.sync(*TABLES)
    state = northwind.state("crm_lead")
    assert (state.status, state.failures) == ("failed", 1)
    for table in ("crm_stage", "res_country"):
        assert northwind.state(table).status == "ok"
    assert "Traceback" not in capfd.readouterr().err
    odoo.clear_faults()
    assert northwind.sync(*TABLES)
    assert_lake_is_source(northwind, odoo, "northwind", TABLES)


@pytest.mark.parametrize("kind", ["500", "cut", "timeout", "reset", "html", "429", "database_down"])
@pytest.mark.usefixtures("impatient")
def test_a_failure_in_the_middle_of_a_table_is_completed_by_the_next_sync(
    northwind: SyncedLake, odoo: Sandbox, kind: str
) -> None:
    northwind.reconfigure({"page_size": 20, "timeout_seconds": 1 if kind == "timeout" else 20})
    odoo.fault(kind, model="crm.lead", method="search_read", after=1, times=None, seconds=2)
    outcomes = northwind.pull(*TABLES)
    assert {table: outcome.status for table, outcome in outcomes.items()} == {
        "crm_lead": "failed", "crm_stage": "ok", "res_country": "ok",
    }  # fmt: skip
    assert "tenant northwind, source odoo, table crm_lead" in outcomes["crm_lead"].message
    state = northwind.state("crm_lead")
    assert (state.status, state.watermark, state.failures) == ("failed", None, 1)
    assert northwind.files("bronze/tenant_id=northwind/source=odoo/entity=crm_lead") == []
    odoo.clear_faults()
    northwind.pull(*TABLES)
    assert_lake_is_source(northwind, odoo, "northwind", TABLES)


@pytest.mark.usefixtures("impatient")
def test_a_table_that_is_no_longer_configured_is_neither_told_of_nor_tried_again(
    northwind: SyncedLake, odoo: Sandbox
) -> None:
    odoo.fault("500", model="crm.lead", times=None)
    assert northwind.capture("crm_lead")["crm_lead"].status == "failed"
    assert set(failed_tables(northwind.lake, northwind.settings, "northwind", to_retry=True)) == {"odoo/crm_lead"}
    northwind.reconfigure({"tables": ["crm_stage"]})
    assert failed_tables(northwind.lake, northwind.settings, "northwind") == {}


@pytest.mark.parametrize("kind", ["500", "cut", "reset", "429"])
def test_a_failure_that_passes_is_not_noticed(northwind: SyncedLake, odoo: Sandbox, kind: str) -> None:
    northwind.reconfigure({"page_size": 20})
    odoo.fault(kind, model="crm.lead", method="search_read", after=1, times=1)
    assert northwind.pull("crm_lead")["crm_lead"].status == "ok"
    assert_lake_is_source(northwind, odoo, "northwind", ["crm_lead"])
