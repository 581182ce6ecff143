"""The Makefile, .ci/run and the pinned dependencies."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
TARGETS = ["setup", "run", "demo", "test", "lint", "format", "bench", "torture", "ui", "lock", "clean"]

# These tests run under `make test`, where an inner make would inherit its flags and say which folder it enters.
OUTSIDE_MAKE = {
    name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "UV_", "PIP_"))
}


def _make(*arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=OUTSIDE_MAKE, capture_output=True, text=True, check=False
    )


def test_make_alone_lists_every_target_with_its_purpose() -> None:
    listed = re.findall(r"^  make (\w+) +\S", _make().stdout, re.M)
    assert listed == ["help", *TARGETS]


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_can_be_made(target: str) -> None:
    result = _make("--dry-run", target)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_two_commands_are_the_lakes_own() -> None:
    assert ".venv/bin/lake up" in _make("--dry-run", "run").stdout
    assert ".venv/bin/lake demo" in _make("--dry-run", "demo").stdout


def test_the_tests_are_linter_formatter_type_checker_and_pytest_in_this_order() -> None:
    said = _make("--dry-run", "test").stdout
    places = [said.index(step) for step in ("ruff check", "ruff format --check", "pyright\n", "-m pytest")]
    assert places == sorted(places)


def test_an_installed_environment_is_not_installed_again(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    (tmp_path / ".venv").mkdir()
    assert "uv pip install" in _make("--dry-run", "setup", folder=tmp_path).stdout
    (tmp_path / ".venv" / ".ready").touch()
    assert "uv pip install" not in _make("--dry-run", "setup", folder=tmp_path).stdout


@pytest.mark.parametrize("python", ["old-python", "no-python"])
def test_a_python_too_old_or_absent_is_said_in_words(tmp_path: Path, python: str) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac\n')
    old.chmod(0o755)
    result = _make("setup", f"PYTHON=./{python}", folder=tmp_path)
    assert result.returncode != 0
    assert "revlake needs Python 3.11 or newer" in result.stderr
    assert ("Python 3.9.2" in result.stderr) == (python == "old-python")


def test_pips_places_for_packages_are_handed_to_uv(tmp_path: Path) -> None:
    makefile = f"include {REPOSITORY / 'Makefile'}\nshow:\n\t@echo $$UV_FIND_LINKS $$UV_DEFAULT_INDEX\n"
    (tmp_path / "Makefile").write_text(makefile)
    said = _make("show", "PIP_FIND_LINKS=one two", "PIP_INDEX_URL=index", folder=tmp_path)
    assert said.stdout == "one,two index\n"


def test_ci_runs_the_tests_from_anywhere(tmp_path: Path) -> None:
    script = (REPOSITORY / ".ci" / "run").read_text()
    assert script.splitlines()[-1] == "exec make test"
    (tmp_path / "checkout" / ".ci").mkdir(parents=True)
    copy = tmp_path / "checkout" / ".ci" / "run"
    copy.write_text(script)
    copy.chmod(0o755)
    (tmp_path / "checkout" / "Makefile").write_text("test:\n\t@pwd; exit 3\n")
    result = subprocess.run([copy], cwd="/", env=OUTSIDE_MAKE, capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.returncode) == (str(tmp_path / "checkout"), 2)


def test_every_dependency_is_pinned_within_its_range_and_nothing_says_where_it_came_from() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[\w.+!]+( ; [\w\s.'\"<>=!()]+)?", line)] == []
    pins = {requirement.name: requirement.specifier for requirement in map(Requirement, lines)}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    for requirement in map(Requirement, wanted):
        (pin,) = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin.version), requirement
