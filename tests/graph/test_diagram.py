"""The diagram in docs/architecture.md against the imports."""

import re

from tests.graph.imports import ROOT, imports_of, module_of

PACKAGES = ("lake_cli", "lake_assets", "partitions", "resources", "lake_config", "serving", "sandbox", "bench")


def _place(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "lake_assets" else parts[0]


def test_every_import_is_an_arrow_of_the_diagram() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^\s+([\w.]+) --> ([\w.]+)$", text, re.MULTILINE))
    found = {
        (_place(module_of(file)), _place(module))
        for package in PACKAGES
        for file, modules in imports_of(package).items()
        for module in modules
        if module.split(".")[0] in PACKAGES
    }
    assert {(importer, imported) for importer, imported in found if importer != imported} - drawn == set()
