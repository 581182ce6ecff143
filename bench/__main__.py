"""`python -m bench [case ...]`: run cases, print the table, write `bench/results.json`."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from rich.console import Console
from rich.table import Table

from bench.bronze import sync_beside_loop_and_dlt
from bench.harness import Bench, Comparison
from bench.layers import layers_beside_statements
from bench.memory import memory_of_a_large_sync
from bench.runs import idle_week, unchanged_and_little_changed
from bench.sources_apn import apn_memory, apn_opportunities
from bench.sources_partner_central import partner_central_beside_latency
from bench.sources_pipedrive import memory_of_many_deals, pipedrive_beside_dlt_and_reader
from bench.sources_salesforce import salesforce_memory, salesforce_windows
from bench.sources_zendesk import zendesk_tickets

CASES: dict[tuple[str, ...], Callable[[Bench], list[Comparison]]] = {
    ("a", "b"): sync_beside_loop_and_dlt,
    ("c",): layers_beside_statements,
    ("d", "e"): unchanged_and_little_changed,
    ("f",): memory_of_a_large_sync,
    ("g",): idle_week,
    ("pipedrive",): pipedrive_beside_dlt_and_reader,
    ("pipedrive_memory",): memory_of_many_deals,
    ("zendesk",): zendesk_tickets,
    ("salesforce",): salesforce_windows,
    ("salesforce_memory",): salesforce_memory,
    ("partner_central",): partner_central_beside_latency,
    ("apn",): apn_opportunities,
    ("apn_memory",): apn_memory,
}
"""Names of the cases -> what measures them; some are measured in the same rounds."""

RESULTS = Path(__file__).parent / "results.json"
out, err = Console(), Console(stderr=True)


def main() -> int:
    """Exit status 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [name for some in CASES for name in some]
    parser.add_argument("cases", nargs="*", metavar="case", help=f"{', '.join(names)}; all if none is given")
    parser.add_argument("--runs", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--leads", type=int, default=50_000, help="records of the large table (default 50,000)")
    options = parser.parse_args()
    unknown = set(options.cases) - set(names)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    lines: list[Comparison] = []
    began = time.monotonic()
    with TemporaryDirectory(prefix="revlake-bench-") as folder:
        bench = Bench(options.runs, options.leads, Path(folder), lambda text: err.print(f"[dim]{text}"))
        for some, case in CASES.items():
            if not options.cases or set(some) & set(options.cases):
                err.print(f"case {' and '.join(some)}: {case.__name__.replace('_', ' ')}")
                measured = case(bench)
                lines += measured
                print_table(measured, err)
    out.print()
    print_table(lines, out)
    write_results(lines, options.runs, options.leads)
    out.print(
        f"{time.monotonic() - began:.0f} s in all; load of the machine now {os.getloadavg()[0]:.1f}; written to {RESULTS}"
    )
    return int(any(line.met is False for line in lines))


def print_table(lines: list[Comparison], console: Console) -> None:
    """Medians, ratios and targets."""
    table = Table("", "what", "ours", "theirs", "ratio", "target")
    for line in lines:
        mark = {None: "", True: " [green]met[/]", False: " [red]missed[/]"}[line.met]
        table.add_row(
            line.case,
            line.what,
            f"{line.ours:,.2f} {line.unit}",
            "" if line.theirs is None else f"{line.theirs:,.2f} {line.unit}",
            "" if line.ratio is None else f"{line.ratio:.2f}",
            "" if line.target is None else f"{line.target:g}{mark}",
        )
    console.print(table)
    for line in lines:
        console.print(
            f"({line.case}) " + ", ".join(f"{name}: {value}" for name, value in line.notes.items()), highlight=False
        )


def write_results(lines: list[Comparison], runs: int, leads: int) -> None:
    """Put these cases' results into the file and leave those of others as they are."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    memory = psutil.virtual_memory().total / 1e9
    machine = f"{platform.machine()}, {psutil.cpu_count()} CPUs, {memory:.0f} GB, Python {platform.python_version()}"
    measured = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "runs": runs, "leads": leads, "machine": machine}
    cases = {line.case: [] for line in lines}
    for line in lines:
        cases[line.case].append({**asdict(line), "met": line.met, **measured})
    text = json.dumps({**known, **cases}, indent=1, sort_keys=True)
    RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
