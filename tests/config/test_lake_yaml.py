"""What `lake.yaml` may say, and what is said about one that is wrong."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lake_config import ConfigError, MissingVariableError, Secret, Settings, load_settings, settings_from_mapping
from lake_config.settings import SLUG

GOOD = """
lake:
  root: ./data-lake
  start_date: 2026-01-01
tenants:
  northwind:
    timezone: Europe/Berlin
    sources:
      odoo: {url: "http://127.0.0.1:8899/odoo/northwind", database: northwind, username: admin, password: "${A_PASSWORD}"}
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str) -> Path:
        file = tmp_path / "lake.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return put


def source(settings: Settings, tenant: str = "northwind") -> Any:
    return settings.tenants[tenant].sources["odoo"]


def test_a_good_file_gives_every_default(write: Write) -> None:
    settings = load_settings(write(GOOD))
    odoo = source(settings)
    assert (odoo.type, odoo.protocol, odoo.tables, odoo.only_listed) == ("odoo", "auto", None, False)
    assert settings.lake.postgres == "embedded"
    assert settings.tenants["northwind"].plan == "standard"


@pytest.mark.parametrize(
    ("change", "key", "reason"),
    [
        (("  start_date: 2026-01-01\n", ""), "lake.start_date", "is required and missing"),
        (("database: northwind, ", ""), "tenants.northwind.sources.odoo.database", "is required and missing"),
        (("2026-01-01", "soon"), "lake.start_date", "date"),
        (("database: northwind", "database: [a, b]"), "tenants.northwind.sources.odoo.database", "string"),
        (("  root:", "  rooot: x\n  root:"), "lake.rooot", "is not a known key"),
        (("username: admin", "username: admin, user: admin"), "tenants.northwind.sources.odoo.user", "is not a known key"),
        (("Europe/Berlin", "Berlin"), "tenants.northwind.timezone", "IANA time zone"),
        (("      odoo: {", "      odoo: {type: sap, "), "tenants.northwind", "type 'sap' is not known (known: apn"),
        (("      odoo: {", "      crm: {"), "tenants.northwind", "type 'crm' is not known (known: apn"),
        (("      odoo: {", "      Odoo-EU: {type: odoo, "), "tenants.northwind.sources", "'Odoo-EU' is not a source name"),
        (("username: admin", "username: admin, protocol: soap"), "tenants.northwind.sources.odoo.protocol", "auto"),
        (("username: admin", "username: admin, page_size: 0"), "tenants.northwind.sources.odoo.page_size", "greater"),
        (("username: admin", "username: admin, tables: [1]"), "tenants.northwind.sources.odoo", "a list of table names"),
        (("username: admin", "username: admin, tables: [../x]"), "tenants.northwind.sources.odoo.tables", "not a table name"),
        (
            ("username: admin", "username: admin, tables: {crm_lead: {only: [id]}}"),
            "tenants.northwind.sources.odoo.tables.crm_lead.only",
            "is not a known key",
        ),
        (("http://127.0.0.1", "http://admin:geheim@127.0.0.1"), "tenants.northwind.sources.odoo.url", "without user name"),
        (("http://127.0.0.1", "ftp://127.0.0.1"), "tenants.northwind.sources.odoo.url", "http"),
        (("tenants:", "tenants: {}\nother:"), "other", "is not a known key"),
        (("    sources:", "    sources: nothing\n    name:"), "tenants.northwind", ""),
    ],
)  # fmt: skip
def test_each_mistake_is_named_by_the_path_of_its_key(
    write: Write, change: tuple[str, str], key: str, reason: str
) -> None:
    text = GOOD.replace(*change, 1)
    assert text != GOOD
    with pytest.raises(ConfigError) as caught:
        load_settings(write(text))
    lines = str(caught.value).splitlines()
    assert any(line.strip().startswith(key) and reason in line for line in lines), lines
    assert "geheim" not in str(caught.value)


def test_several_mistakes_are_told_at_once(write: Write) -> None:
    text = GOOD.replace("Europe/Berlin", "Mars").replace("2026-01-01", "soon")
    with pytest.raises(ConfigError, match="2 problem"):
        load_settings(write(text))


@pytest.mark.parametrize(
    "slug", ["../etc", "a/b", "Northwind", "north_wind", "", "-a", "a" * 64, "a b", "ä", ".", "a.b", "tenant=x"]
)
def test_a_tenant_name_that_is_no_slug_is_refused(write: Write, slug: str) -> None:
    text = GOOD.replace("  northwind:", f"  {slug!r}:")
    with pytest.raises(ConfigError, match="is not a tenant slug"):
        load_settings(write(text))


@given(st.text(max_size=80))
def test_a_slug_can_never_leave_its_folder(slug: str) -> None:
    data = yaml.safe_load(GOOD)
    data["tenants"] = {slug: data["tenants"]["northwind"]}
    try:
        settings = settings_from_mapping(data, Path("/srv/lake.yaml"))
    except ConfigError:
        return
    assert SLUG.fullmatch(slug)
    assert os.path.normpath(f"/a-lake/tenant_id={slug}") == f"/a-lake/tenant_id={slug}"
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert list(settings.tenants) == [slug]


@given(st.from_regex(SLUG, fullmatch=True))
def test_every_slug_is_accepted(slug: str) -> None:
    data = yaml.safe_load(GOOD)
    data["tenants"] = {slug: data["tenants"]["northwind"]}
    assert slug in settings_from_mapping(data, Path("/srv/lake.yaml")).tenants


@pytest.mark.parametrize(
    ("twice", "key"),
    [
        ("  northwind: {sources: {}}\n", "northwind"),
        ("lake: {start_date: 2026-01-01}\n", "lake"),
    ],
)
def test_a_key_that_stands_twice_is_an_error_with_its_line(write: Write, twice: str, key: str) -> None:
    text = GOOD.lstrip() + twice
    line = len(text.splitlines())
    with pytest.raises(ConfigError, match=rf"line {line}: the key '{key}' stands twice"):
        load_settings(write(text))


def test_a_key_that_stands_twice_deep_inside_is_an_error_too(write: Write) -> None:
    with pytest.raises(ConfigError, match="'username' stands twice"):
        load_settings(write(GOOD.replace("username: admin", "username: admin, username: other")))


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "", "42", "null"])
def test_a_file_that_is_no_mapping_is_refused(write: Write, text: str) -> None:
    with pytest.raises(ConfigError, match="a mapping with the keys"):
        load_settings(write(text))


@pytest.mark.parametrize("text", ["lake:\n\troot: x\n", "lake: {root: x", "lake: 'x", "lake: *nowhere", "a: b: c"])
def test_a_file_that_is_not_yaml_is_refused(write: Write, text: str) -> None:
    with pytest.raises(ConfigError, match=r"lake\.yaml: not valid YAML"):
        load_settings(write(text))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lake.yaml"
    file.write_bytes(b"lake: \xff\xfe")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_settings(file)


def test_yaml_that_would_run_code_is_refused(write: Write) -> None:
    with pytest.raises(ConfigError):
        load_settings(write("lake: !!python/object/apply:os.system ['true']\n"))


def test_keys_that_cannot_be_keys_are_refused(write: Write) -> None:
    with pytest.raises(ConfigError):
        load_settings(write(GOOD + "[a, b]: c\n"))
    with pytest.raises(ConfigError):
        load_settings(write(GOOD + "1: c\n"))


def test_blocks_may_share_defaults_by_yaml_anchors(write: Write) -> None:
    text = GOOD.replace("      odoo: {", "      odoo: &odoo {") + (
        "  nkretail:\n    sources:\n      odoo: {<<: *odoo, database: nkretail}\n"
    )
    settings = load_settings(write(text))
    assert source(settings, "nkretail").database == "nkretail"
    assert source(settings, "nkretail").username == "admin"


def test_a_missing_file_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file\. Name one with --config or LAKE_CONFIG"):
        load_settings(tmp_path / "nothing.yaml")


def test_the_file_is_the_one_named_by_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_CONFIG", str(write(GOOD)))
    assert list(load_settings().tenants) == ["northwind"]


def _tables(write: Write, tables: str) -> Settings:
    return load_settings(write(GOOD.replace("username: admin", f"username: admin, tables: {tables}")))


def test_tables_as_a_list_are_all_that_is_read(write: Write) -> None:
    odoo = _tables(write, "[crm_lead, x_my_model, res.currency]").tenants["northwind"].sources["odoo"]
    assert odoo.only_listed
    assert list(odoo.tables or {}) == ["crm_lead", "x_my_model", "res_currency"]


def test_tables_as_a_mapping_are_options_and_additions(write: Write) -> None:
    odoo = _tables(write, "{crm_lead: {exclude: [description]}, x_my_model: }").tenants["northwind"].sources["odoo"]
    assert not odoo.only_listed
    assert odoo.tables is not None
    assert odoo.tables["crm_lead"].exclude == ["description"]
    assert odoo.tables["x_my_model"].include is None


@pytest.mark.parametrize("tables", ["[res.currency, res_currency]", "{res.currency: {}, res_currency: {}}"])
def test_two_tables_of_one_name_in_the_lake_are_refused(write: Write, tables: str) -> None:
    with pytest.raises(ConfigError, match=r"res\.currency and res_currency would both be res_currency"):
        _tables(write, tables)


def test_relative_paths_are_relative_to_the_file(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(GOOD)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load_settings("../lake.yaml")
    assert settings.path == file
    assert settings.root == str(tmp_path / "data-lake")
    assert settings.catalog_file == tmp_path / "lake.duckdb"


def test_absolute_paths_and_urls_stay_as_they_are(write: Write) -> None:
    assert load_settings(write(GOOD.replace("./data-lake", "/srv/lake"))).root == "/srv/lake"
    assert load_settings(write(GOOD.replace("./data-lake", "s3://bucket/lake"))).root == "s3://bucket/lake"


def test_a_root_may_come_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(write(GOOD.replace("./data-lake", "${THE_LAKE_ROOT}")))
    with pytest.raises(MissingVariableError, match=r"lake\.root: environment variable THE_LAKE_ROOT is not set"):
        _ = settings.root
    monkeypatch.setenv("THE_LAKE_ROOT", "/srv/lake")
    assert settings.root == "/srv/lake"


def test_a_missing_variable_is_an_error_when_it_is_needed_and_not_before(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_PASSWORD", raising=False)
    password = source(load_settings(write(GOOD))).password
    assert password.missing() == ["A_PASSWORD"]
    with pytest.raises(MissingVariableError, match=r"here: environment variable A_PASSWORD is not set.*\.env"):
        password.reveal("here")
    monkeypatch.setenv("A_PASSWORD", "hunter2")
    assert password.reveal() == "hunter2"


def test_a_file_env_beside_it_fills_what_the_environment_lacks(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("B_PASSWORD", "from the environment")
    # dotenv writes into os.environ; this makes pytest take it away again.
    monkeypatch.setenv("A_PASSWORD", "x")
    monkeypatch.delenv("A_PASSWORD")
    (tmp_path / ".env").write_text("A_PASSWORD=from the file\nB_PASSWORD=from the file\n", encoding="utf-8")
    load_settings(write(GOOD))
    assert os.environ["A_PASSWORD"] == "from the file"
    assert os.environ["B_PASSWORD"] == "from the environment"


def test_a_secret_shows_nowhere(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "hook-hunter2")
    text = GOOD.replace('"${A_PASSWORD}"', "hunter2").replace(
        "  root:", "  webhook_url: https://hooks/hunter2\n  root:"
    )
    settings = load_settings(write(text))
    shown = [
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        str(settings.model_dump(mode="json")),
        str(settings.model_dump()),
        f"{source(settings).password}",
        str(vars(settings.lake)),
    ]
    assert [text for text in shown if "hunter2" in text] == []
    assert source(settings).password.reveal() == "hunter2"


def test_a_secret_of_the_wrong_kind_is_not_repeated_in_the_error(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(GOOD.replace('"${A_PASSWORD}"', "{pin: hunter2}")))
    assert "password" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@given(st.text(min_size=1).filter(lambda text: "${" not in text))
def test_a_secret_gives_back_exactly_what_it_was_given(text: str) -> None:
    secret = Secret(text)
    assert secret.reveal() == text
    assert repr(secret) == str(secret) == "Secret('***')"
    assert secret.missing() == []
