"""The diagram in docs/architecture.md against the imports."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP = ("lake_cli", "lake_assets", "partitions", "resources", "lake_config", "sandbox", "bench")


def _place(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "lake_assets" else parts[0]


def test_every_import_is_an_arrow_of_the_diagram() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    arrows = set(re.findall(r"^\s+([\w.]+) --> ([\w.]+)$", text, re.MULTILINE))
    found = set()
    for top in TOP:
        for file in (ROOT / top).rglob("*.py"):
            here = _place(".".join(file.relative_to(ROOT).with_suffix("").parts))
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in TOP:
                    found.add((here, _place(node.module)))
    assert {arrow for arrow in found if arrow[0] != arrow[1]} - arrows == set()
