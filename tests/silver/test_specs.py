"""Specs: what they may say, and that a mistake is told with file and line."""

from pathlib import Path

import pytest

from lake_assets.silver.compile import silver_columns
from lake_assets.silver.spec import RESERVED_COLUMNS, SPEC_FOLDER, SpecError, load_spec, load_specs
from resources.connectors.odoo import BUILT_IN_TABLES
from resources.connectors.pipedrive_columns import STANDARD
from tests.silver.support import recorded_types

GOOD = """\
entity: shop
description: A shop.
canonical_prefix: shp

columns:
  name: {description: Its name., scored: true}
  owner_id: {type: id, description: Who owns it.}
  owner_name:
    description: The owner's name.
    reference: {table: silver.person, key: owner_id, name: name}
  area: {type: number, description: "Square metres."}

sources:
  odoo.x_shop:
    columns:
      name: coalesce({name}, {owner_id.label})
      owner_id: owner_id.id
      owner_name: owner_id.label
      area: area

rules:
  - required: name
  - range: area
    min: 1
  - check: owned
    sql: owner_id IS NOT NULL
    message: nobody owns it
"""

PERSON = """\
entity: person
description: A person.
canonical_prefix: per
columns:
  name: {description: The name.}
sources:
  odoo.x_person:
    columns: {name: name}
"""


def mistake(folder: Path, text: str | bytes, name: str = "shop.yaml") -> str:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SpecError) as raised:
        load_spec(file)
    return str(raised.value)


def test_a_good_spec_loads(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(GOOD)
    (tmp_path / "person.yaml").write_text(PERSON)
    specs = load_specs(tmp_path)
    assert list(specs) == ["person", "shop"]
    assert specs["shop"].tables == [("odoo", "x_shop")]


@pytest.mark.parametrize(
    ("good", "bad", "line", "told"),
    [
        ("entity: shop", "entity: Shop 1", 1, "entity: String should match pattern"),
        ("entity: shop\n", "", 1, "entity: Field required"),
        ("canonical_prefix: shp", "canonical_prefix: s-p", 3, "canonical_prefix: String should match pattern"),
        ("canonical_prefix: shp", "canonical_prefixx: shp", 3, "canonical_prefixx: Extra inputs are not permitted"),
        (
            "  name: {description: Its name., scored: true}",
            "  name: {scored: true}",
            6,
            "columns.name.description: Field required",
        ),
        (
            "{type: id, description: Who",
            "{type: uuid, description: Who",
            7,
            "columns.owner_id.type: Input should be 'text', 'id'",
        ),
        ("scored: true", "scored: perhaps", 6, "columns.name.scored: Input should be a valid boolean"),
        ("scored: true", "skored: true", 6, "columns.name.skored: Extra inputs are not permitted"),
        ("silver.person", "person", 10, "columns.owner_name.reference.table: expected `<source type>.<table>` or"),
        ("key: owner_id", "key: boss_id", 10, "columns.owner_name.reference.key: the entity has no column 'boss_id'"),
        (
            "  area: {type",
            "  source_id: {type",
            11,
            "columns.source_id: every entity has a column of this name already",
        ),
        ("  area: {type", "  name: {type", 11, "name: stands here for the second time"),
        ("  odoo.x_shop:", "  x_shop:", 13, "sources: 'x_shop': expected `<source type>.<table>`"),
        ("      area: area", "      size: area", 19, "sources.odoo.x_shop.columns.size: the entity has no such column"),
        ("      area: area", "      area: 7", 19, "sources.odoo.x_shop.columns.area: Input should be a valid string"),
        ("      area: area", "      area: round({area}", 19, "sources.odoo.x_shop.columns.area: not valid SQL:"),
        ("    columns:\n", "    where: AND {active}\n    columns:\n", 15, "sources.odoo.x_shop.where: not valid SQL:"),
        (
            "  - required: name",
            "  - requires: name",
            22,
            "rules.0: not a rule: expected one of the keys required, email",
        ),
        ("  - required: name", "  - name", 22, "rules.0: not a rule"),
        ("  - required: name", "  - required: title", 22, "rules.0: the entity has no column 'title'"),
        ("    min: 1", "    min: little", 24, "min: Input should be a valid number"),
        ("    min: 1\n", "", 23, "a range needs min, max or both"),
        ("    min: 1", "    least: 1", 24, "least: Extra inputs are not permitted"),
        ("    message: nobody owns it\n", "", 25, "message: Field required"),
        (
            "owner_id IS NOT NULL",
            "owner IS NOT NULL",
            26,
            'rules.2.sql: not valid SQL: Binder Error: Referenced column "owner"',
        ),
        ("owner_id IS NOT NULL", "owner_id IS (NOT", 26, "rules.2.sql: not valid SQL: Parser Error"),
        ("owner_id IS NOT NULL", "nearby(owner_id)", 26, "rules.2.sql: not valid SQL: Catalog Error"),
        ("columns:\n  name", "columns:\n\tname", 6, "not valid YAML"),
        ("rules:\n", "rules: [\n", 22, "not valid YAML"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, good: str, bad: str, line: int, told: str) -> None:
    assert GOOD.count(good) >= 1
    message = mistake(tmp_path, GOOD.replace(good, bad, 1))
    assert told in message
    assert any(part.startswith(f"shop.yaml:{line}: ") for part in message.splitlines()), message


@pytest.mark.parametrize(("text", "told"), [("", "shop.yaml:1: spec:"), ("- a\n- b\n", "shop.yaml:1: spec:")])
def test_no_spec_at_all(tmp_path: Path, text: str, told: str) -> None:
    assert mistake(tmp_path, text).startswith(told)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    assert mistake(tmp_path, GOOD.encode().replace(b"A shop.", b"A sh\xf6p.")) == "shop.yaml:2: not UTF-8 text"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("silver.person", "silver.owner"),
            "shop.yaml:10: columns.owner_name.reference.table: there is no entity 'owner'",
        ),
        (
            ("name: name}", "name: title}"),
            "shop.yaml:10: columns.owner_name.reference.name: person has no column 'title'",
        ),
        (
            ("canonical_prefix: shp", "canonical_prefix: per"),
            "shop.yaml:3: canonical_prefix: person has this prefix already",
        ),
        (("entity: shop", "entity: person"), "shop.yaml:1: entity: person is defined twice"),
    ],
)
def test_specs_that_do_not_fit_together(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    (tmp_path / "person.yaml").write_text(PERSON)
    (tmp_path / "shop.yaml").write_text(GOOD.replace(*change))
    with pytest.raises(SpecError) as raised:
        load_specs(tmp_path)
    assert told in str(raised.value).splitlines()


def test_names_that_refer_to_each_other_in_a_circle(tmp_path: Path) -> None:
    circle = "  name: {description: The name., reference: {table: silver.shop, key: name, name: owner_name}}"
    (tmp_path / "person.yaml").write_text(PERSON.replace("  name: {description: The name.}", circle))
    (tmp_path / "shop.yaml").write_text(GOOD)
    with pytest.raises(
        SpecError, match=r"shop\.yaml:10: columns\.owner_name\.reference: the references go round in a circle"
    ):
        load_specs(tmp_path)


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    message = mistake(tmp_path, GOOD.replace("type: id", "type: uuid").replace("min: 1", "min: little"))
    assert [line.split(": ")[0] for line in message.splitlines()] == ["shop.yaml:7", "shop.yaml:24"]


def test_reserved_names_are_those_that_files_have() -> None:
    spec = load_specs()["user"]
    assert set(silver_columns(spec)) - set(spec.columns) <= RESERVED_COLUMNS


def test_the_fingerprint_moves_with_whatever_changes_rows_and_only_then(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("min: 1", "min: 2"))
    (tmp_path / "c.yaml").write_text("# a remark\n" + GOOD.replace("\n\n", "\n"))
    first, changed, same = (load_spec(tmp_path / f"{name}.yaml").fingerprint for name in "abc")
    assert first != changed
    assert first == same


def test_every_spec_of_the_issue_is_there() -> None:
    wanted = "opportunity account contact user sales_order sales_order_line invoice invoice_line product project"
    assert {*wanted.split(), "pos_order", "pos_order_line"} <= set(load_specs())
    assert {file.stem for file in SPEC_FOLDER.glob("*.yaml")} == set(load_specs())


@pytest.mark.parametrize("entity", sorted(load_specs()))
def test_specs_are_complete(entity: str) -> None:
    spec = load_specs()[entity]
    unmapped = set(spec.columns).difference(*(mapping.columns for mapping in spec.sources.values()))
    assert all(spec.columns[name].reference for name in unmapped), "a column without a source shows another record's"
    assert any(column.scored for column in spec.columns.values())
    for name, column in spec.columns.items():
        assert (column.type in ("id", "ids")) == name.endswith(("_id", "_ids")), name
        assert (column.type == "boolean") == name.startswith("is_"), name
        if spec.entity != "opportunity":  # there the names are given
            assert (column.type == "timestamp") == name.endswith("_at"), name
            assert (column.type == "date") == name.endswith("_date"), name


@pytest.mark.parametrize("entity", sorted(load_specs()))
def test_names_are_looked_up_in_fields_that_a_real_server_has(entity: str) -> None:
    for column in load_specs()[entity].columns.values():
        for source_type, table in column.reference.bronze_tables if column.reference else []:
            assert column.reference
            known = {"odoo": BUILT_IN_TABLES, "pipedrive": STANDARD}[source_type]
            fields = recorded_types(table) if source_type == "odoo" else STANDARD[table]
            assert table in known
            assert column.reference.name in fields
