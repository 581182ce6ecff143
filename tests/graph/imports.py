"""What every module of ours imports, read from its text."""

import ast
import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def imports_of(package: str) -> dict[str, frozenset[str]]:
    """File -> every module that it imports, and every name that it imports from one, at any depth of its code."""
    # A collection in the middle of a parse may log a traceback of what it ends, which parses too, and CPython 3.11 then
    # fails with "AST constructor recursion depth mismatch" (gh-106905).
    gc.disable()
    try:
        return {
            file.relative_to(ROOT).as_posix(): frozenset(_imported(file)) for file in (ROOT / package).rglob("*.py")
        }
    finally:
        gc.enable()


def module_of(file: str) -> str:
    """The module's name: `lake_cli/main.py` is `lake_cli.main`."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
