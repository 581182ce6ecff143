"""Imports go downwards only (DESIGN section 2), and Dagster stays out of everything that computes."""

import subprocess
import sys

import pytest

from tests.graph.imports import ROOT, imports_of, module_of

LAYERS = ["bronze", "silver", "gold", "platinum"]
BASE = {"lake_config", "partitions", "resources", "embeddings", "lake_assets.describe"}
ALL_LAYERS = {f"lake_assets.{layer}" for layer in LAYERS}

MAY_IMPORT: dict[str, set[str]] = {
    "lake_config": set(),
    "partitions": {"lake_config"},
    "resources": {"lake_config"},
    "embeddings": set(),
    "sandbox": set(),
    "serving": {"lake_config", "resources", "embeddings"},
    "lake_assets.describe": set(),
    **{
        f"lake_assets.{layer}": BASE | {f"lake_assets.{below}" for below in LAYERS[:place]}
        for place, layer in enumerate(LAYERS)
    },
    "lake_assets.catalog": BASE | ALL_LAYERS,
    "lake_assets.automation": BASE | ALL_LAYERS,
    "lake_assets.definitions": BASE | ALL_LAYERS | {"lake_assets.automation", "lake_assets.catalog"},
    "lake_cli": {"lake_config", "partitions", "resources", "embeddings", "lake_assets", "sandbox", "serving"},
}
"""Place -> what it may import of ours, besides itself."""

MAY_IMPORT_DAGSTER = {
    "lake_assets/bronze/assets.py",
    "lake_assets/silver/assets.py",
    "lake_assets/gold/assets.py",
    "lake_assets/platinum/assets.py",
    "lake_assets/describe.py",
    "lake_assets/definitions.py",
    "lake_assets/automation/",
    "partitions/",
    "resources/dagster_",
    "lake_cli/sync.py",
    "lake_cli/demo.py",
    "lake_cli/up.py",
}

MAY_IMPORT_SANDBOX = {"lake_cli/main.py", "lake_cli/demo.py", "lake_cli/up.py"}
"""The demo and the command that starts the stand-ins; tests and benchmarks besides."""

PACKAGES = sorted({place.split(".")[0] for place in MAY_IMPORT})


def _imports() -> dict[str, frozenset[str]]:
    return {file: modules for package in PACKAGES for file, modules in imports_of(package).items()}


def _place(module: str) -> str | None:
    """The place of `MAY_IMPORT` that a module belongs to; None if it is not ours."""
    parts = module.split(".")
    for length in (2, 1):
        if ".".join(parts[:length]) in MAY_IMPORT:
            return ".".join(parts[:length])
    return None


def test_every_module_of_ours_has_its_place() -> None:
    homeless = [file for file in _imports() if _place(module_of(file)) is None and file != "lake_assets/__init__.py"]
    assert not homeless, "name their place in MAY_IMPORT"


@pytest.mark.parametrize("place", sorted(MAY_IMPORT))
def test_imports_go_downwards_only(place: str) -> None:
    allowed = MAY_IMPORT[place] | {place}
    wrong = [
        f"{file} imports {module}"
        for file, modules in _imports().items()
        if _place(module_of(file)) == place
        for module in sorted(modules)
        if (target := _place(module)) and target not in allowed and target.split(".")[0] not in allowed
    ]
    assert not wrong


def test_only_assets_automation_and_what_launches_runs_import_dagster() -> None:
    wrong = [
        file
        for file, modules in _imports().items()
        if any(module.split(".")[0].startswith("dagster") for module in modules)
        if not any(
            file == allowed or (allowed.endswith(("/", "_")) and file.startswith(allowed))
            for allowed in MAY_IMPORT_DAGSTER
        )
    ]
    assert wrong == []


def test_only_the_demo_knows_the_sandbox() -> None:
    wrong = [
        file
        for file, modules in _imports().items()
        if not file.startswith("sandbox/") and any(module.split(".")[0] == "sandbox" for module in modules)
    ]
    assert set(wrong) <= MAY_IMPORT_SANDBOX


def test_the_layers_work_without_dagster_being_loaded() -> None:
    """What the table above says of single files, seen from a process that computes all layers."""
    modules = [
        "resources.connectors",
        "resources.lake",
        "lake_assets.bronze.sync",
        "lake_assets.silver.make",
        "lake_assets.gold.make",
        "lake_assets.catalog",
        "embeddings",
        "sandbox.app",
    ]
    code = f"import sys, {', '.join(modules)}; print([name for name in sys.modules if name.split('.')[0].startswith('dagster')])"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert answer.stdout.splitlines()[-1] == "[]"
