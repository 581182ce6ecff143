"""A lake that a test fills record by record: put into an Odoo, sync a day, look at gold.

The source is a connector that hands out given records; capture, silver and gold behind it are the code that production runs.
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from lake_assets.bronze.capture import SyncRequest, capture_table
from lake_assets.bronze.state import register_source
from lake_assets.gold.make import MartOutcome, MartRequest, make_mart
from lake_assets.gold.spec import load_marts
from lake_assets.gold.views import define_gold
from lake_assets.silver.make import make_entity
from lake_assets.silver.spec import load_specs
from resources import layout
from resources.lake import Lake
from resources.scope import Scope
from tests.silver.support import GivenSource

FIRST_DAY = date(2026, 11, 2)
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
LINEAGE = ("run_id", "made_at", "last_aggregated")

Row = dict[str, Any]

_REFERENCES = {
    "crm_lead": "partner_id stage_id team_id user_id",
    "pos_order": "config_id session_id user_id partner_id",
    "pos_order_line": "order_id product_id refunded_orderline_id",
    "product_product": "product_tmpl_id",
    "product_template": "categ_id product_brand_id",
    "product_category": "parent_id",
    "res_partner": "parent_id commercial_partner_id",
    "res_users": "partner_id",
    "sale_order": "partner_id",
    "account_move": "partner_id commercial_partner_id",
}
_NUMBERS = {
    "crm_lead": "expected_revenue probability",
    "pos_order_line": "qty price_unit discount price_subtotal price_subtotal_incl",
    "product_template": "list_price",
    "sale_order": "amount_total amount_untaxed amount_tax currency_rate",
    "account_move": "amount_total_signed amount_residual_signed",
}
_TEXTS = {
    "crm_lead": "name type",
    "crm_stage": "name",
    "crm_team": "name",
    "pos_order": "name state",
    "pos_order_line": "name",
    "product_product": "default_code",
    "product_template": "name",
    "product_category": "name complete_name",
    "res_partner": "name complete_name",
    "res_users": "login",
    "sale_order": "name state",
    "account_move": "name move_type state",
}
_TIMES = {
    "crm_lead": "create_date date_last_stage_update",
    "pos_order": "date_order",
    "sale_order": "date_order",
    "account_move": "invoice_date",
}
_FLAGS = {"crm_lead": "active", "crm_stage": "is_won", "product_product": "active", "res_partner": "is_company active"}


def _types(table: str) -> dict[str, str]:
    """Field -> Odoo's type."""
    types = {"id": "integer", "write_date": "datetime"}
    for fields, kind in (
        (_REFERENCES, "many2one"),
        (_NUMBERS, "float"),
        (_TEXTS, "char"),
        (_TIMES, "datetime"),
        (_FLAGS, "boolean"),
    ):
        types |= dict.fromkeys(fields.get(table, "").split(), kind)
    if "invoice_date" in types:
        types["invoice_date"] = "date"
    return types


class Odoo(GivenSource):
    """One source instance; what a record does not say is empty, and `active` is true."""

    def __init__(self) -> None:
        super().__init__()
        self.shrunk: set[str] = set()
        """Tables that lost a record since they were read, which only a sweep notices."""

    def put(self, table: str, record_id: int, **fields: Any) -> None:  # type: ignore[override]
        """Create or change a record. A reference is given as an id or as (id, label)."""
        types = self.types.setdefault(table, _types(table))
        records = self.records.setdefault(table, [])
        record = next((known for known in records if known["id"] == record_id), None)
        if record is None:
            record = {
                name: True if name == "active" else 0.0 if kind == "float" else False for name, kind in types.items()
            }
            record |= {"id": record_id}
            records.append(record)
        for name, value in fields.items():
            assert name in types, f"{table} has no field {name}"
            if types[name] == "many2one" and value is not None:
                value = list(value) if isinstance(value, tuple) else [value, f"{name} {value}"]
            record[name] = False if value is None else value

    def remove(self, table: str, record_id: int) -> None:
        self.records[table] = [record for record in self.records[table] if record["id"] != record_id]
        self.shrunk.add(table)


class Shop:
    """A tenant (or several) with Odoo instances. `odoo` is the first tenant's first instance."""

    def __init__(self, folder: Path, timezone: str = "Europe/Berlin") -> None:
        self.lake = Lake(str(folder))
        self.timezone = timezone
        self.instances: dict[tuple[str, str], Odoo] = {}
        self.odoo = self.instance("nkretail", "odoo")
        self._runs = itertools.count(1)

    def instance(self, tenant: str, source: str) -> Odoo:
        register_source(self.lake, tenant, source, "odoo")
        return self.instances.setdefault((tenant, source), Odoo())

    @property
    def tenants(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tenant for tenant, _ in self.instances))

    def capture(self, day: date) -> None:
        """Bring bronze and silver up to date: what differs from the lake goes into `day`; what is gone is deleted."""
        for (tenant, source), odoo in self.instances.items():
            for table in odoo.records:
                sweep = table in odoo.shrunk
                request = SyncRequest(tenant, source, day, f"run-{next(self._runs)}", sweep=sweep, confirm_deletes=True)
                outcome = capture_table(self.lake, odoo, table, request)
                assert not outcome.failed, outcome.message
            odoo.shrunk.clear()
        tables = {f"odoo.{table}" for odoo in self.instances.values() for table in odoo.records}
        for tenant in self.tenants:
            for spec in load_specs().values():
                if tables & set(spec.sources):
                    make_entity(self.lake, tenant, spec)

    def make(
        self, mart: str, day: date = FIRST_DAY, tenant: str = "nkretail", force: Iterable[date] = ()
    ) -> MartOutcome:
        request = MartRequest(tenant, day, f"run-{next(self._runs)}", self.timezone, tuple(force))
        return make_mart(self.lake, load_marts()[mart], request)

    def sync(self, day: date, *marts: str) -> None:
        """A run of `day`: capture, silver and these marts."""
        self.capture(day)
        for tenant in self.tenants:
            for mart in marts:
                self.make(mart, day, tenant)

    def rows(self, query: str, by_pattern: bool = False) -> list[Row]:
        """The answer of a query over `gold.*`."""
        with self.lake.connection() as connection:
            define_gold(connection, Scope(self.lake, self.tenants, by_pattern=by_pattern))
            return connection.sql(query).to_arrow_table().to_pylist()

    def content(self, view: str) -> Counter[str]:
        """The rows of `gold.<view>` as a bag, without what differs from one making to the next."""
        rows = self.rows(f"FROM gold.{view}")
        return Counter(repr({name: value for name, value in row.items() if name not in LINEAGE}) for row in rows)

    def forget(self, mart: str, files: bool = False, tenant: str = "nkretail") -> None:
        """Lose the mart's state, and its files too if asked."""
        self.lake.storage.remove(layout.asset_state("gold", tenant, mart))
        if files:
            for name in (mart, f"{mart}_history"):
                for path in self.lake.storage.files(layout.gold_mart(tenant, name), ".parquet"):
                    self.lake.storage.remove(path)

    def files(self, mart: str, tenant: str = "nkretail") -> dict[str, int]:
        """Path -> when the file was last replaced, nanoseconds."""
        paths = self.lake.storage.files(layout.gold_mart(tenant, mart), ".parquet")
        return {path: Path(self.lake.storage.url(path)).stat().st_mtime_ns for path in paths}


def day(number: int) -> date:
    """The first day is 0."""
    return FIRST_DAY + timedelta(days=number)


def sell(odoo: Odoo, order: int, lines: dict[int, float], at: str = "2026-11-02 10:00:00", **fields: Any) -> None:
    """A till order with lines (id -> price) of one piece each."""
    defaults = {"name": f"Shop/{order}", "state": "paid", "config_id": (1, "Shop"), "session_id": 1}
    odoo.put("pos_order", order, date_order=at, **{**defaults, **fields})
    for line, price in lines.items():
        odoo.put("pos_order_line", line, order_id=(order, f"Shop/{order}"), product_id=7, qty=1.0, price_unit=price)
        odoo.put("pos_order_line", line, price_subtotal=price, price_subtotal_incl=round(price * 1.19, 2))
