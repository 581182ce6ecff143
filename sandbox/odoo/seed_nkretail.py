"""nkretail: a retailer with two stores, ninety days of point-of-sale history, products with brands."""

from datetime import datetime, timedelta
from typing import Any

from sandbox.odoo.schema import reference_records
from sandbox.odoo.seeding import Seeder, models
from sandbox.odoo.store import Database
from sandbox.odoo.tills import FULL_TAX, REDUCED_TAX, Tills
from sandbox.retail import BRANDS, CASHIERS, CATEGORIES, STORES, Retailer
from sandbox.world import World

HISTORY_DAYS = 90
EURO = 126


class RetailWorld(World):
    """The tenant's story with the retailer and the tills that write its days."""

    retailer: Retailer
    tills: Tills


def build(seed: int, start: datetime, scale: float) -> tuple[Database, RetailWorld]:
    """The database as it stands at `start`."""
    world = RetailWorld("nkretail", seed, companies=60)
    world.retailer = Retailer(world, busyness=scale)
    database = Database("nkretail", models(brands=True))
    seeder = Seeder(database, world, start)
    seeder.master_data([("NK Retail GmbH", EURO, "Berlin")], list(CASHIERS), "crm.team")
    seeder.partners([uid for uid, _, _ in CASHIERS])
    categories = _categories(seeder)
    _products(seeder, world.retailer, categories, start)
    _stores(seeder)

    def insert(model: str, created: str, written: str, uid: int, **values: Any) -> int:
        return seeder.add(model, created, written, uid, **values)

    world.tills = Tills(database, world.retailer, insert)
    for back in range(HISTORY_DAYS, -1, -1):
        _day(world, (start - timedelta(days=back)), start)
    _spoil(database)
    database.finish_loading()
    return database, world


def _day(world: RetailWorld, moment: datetime, until: datetime) -> None:
    """One day of history, up to `until`."""
    day = moment.date()
    shifts = {shift.store: shift for shift in world.retailer.shifts(day) if shift.opens < until}
    sessions = {store: world.tills.session(shift, until) for store, shift in shifts.items()}
    for sale in world.retailer.sales(day):
        if sale.moment < until:
            shift = shifts[sale.store]
            world.tills.order(sale, sessions[sale.store], world.tills.closing(shift) if shift.closes < until else None)


def _categories(seeder: Seeder) -> dict[tuple[str, str, str], int]:
    """The category tree under `All`; returns the leaf per shelf."""
    root = seeder.add("product.category", name="All", complete_name="All", parent_path="1/")
    leaves = {}
    for department, groups in CATEGORIES.items():
        first = _category(seeder, department, "All", root)
        for group, shelves in groups.items():
            second = _category(seeder, group, f"All / {department}", first)
            for shelf in shelves:
                leaves[department, group, shelf] = _category(seeder, shelf, f"All / {department} / {group}", second)
    return leaves


def _category(seeder: Seeder, name: str, above: str, parent: int) -> int:
    return seeder.add("product.category", name=name, complete_name=f"{above} / {name}", parent_id=parent)


def _products(seeder: Seeder, retailer: Retailer, categories: dict[tuple[str, str, str], int], start: datetime) -> None:
    brands = {name: seeder.add("product.brand", name=name, active=True) for name in BRANDS}
    for product in retailer.products:
        random = seeder.world.random("odoo product", product.number)
        created, written = seeder.setup, seeder.moment(random, 90 + 400 * random.random())
        seeder.add(
            "product.template", created, written, 2, id=product.number, name=product.name, default_code=product.code,
            list_price=retailer.price(product.number, start.date()), categ_id=categories[product.shelf], type="consu",
            detailed_type="consu", product_brand_id=brands.get(product.brand or ""), available_in_pos=True, uom_id=1,
            taxes_id=(REDUCED_TAX if product.food else FULL_TAX,), uom_po_id=1, purchase_ok=True,
            active=product.number % 37 != 5, invoice_policy="order",
        )  # fmt: skip
        seeder.add(
            "product.product", created, written, 2, id=product.number, product_tmpl_id=product.number,
            default_code=product.code, barcode=product.barcode, active=product.number % 37 != 5, combination_indices="",
        )  # fmt: skip


def _stores(seeder: Seeder) -> None:
    for number, name in enumerate(STORES, 1):
        seeder.add(
            "pos.config", id=number, name=name, journal_id=9, invoice_journal_id=1, company_id=1, active=True,
            payment_method_ids=(1, 2), picking_policy="direct", iface_tax_included="total", uuid=f"till-{number}",
        )  # fmt: skip
    for record in reference_records("pos.payment.method")[:2]:
        seeder.add("pos.payment.method", id=record["id"], name=record["name"], active=True, company_id=1)


def _spoil(database: Database) -> None:
    """A few rows that are plainly wrong: lines without product, discounts above 100 %, a total of nothing."""
    lines = database["pos.order.line"]
    for record_id, row in lines.rows.items():
        if record_id % 4001 == 1999:
            row[lines.slots["discount"]] = 150.0
        elif record_id % 5003 == 777:
            row[lines.slots["product_id"]] = None
