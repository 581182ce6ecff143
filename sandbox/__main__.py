"""`python -m sandbox`: run the stand-ins until Ctrl-C."""

import argparse
import contextlib
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.clock import parse_moment
from sandbox.context import SOURCES, Options
from sandbox.server import HOST, exit_with, serve


def start_moment(text: str) -> datetime:
    """A day, a moment, or `-7d` for that many days ago."""
    if text.startswith("-") and text.endswith("d"):
        return datetime.now(UTC) - timedelta(days=float(text[1:-1]))
    return parse_moment(text)


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="sandbox", description="Stand-ins for the source systems, on loopback.")
    parser.add_argument("--port", type=int, default=8899)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the amount of data")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--start", type=start_moment, help="where the story stands: YYYY-MM-DD[THH:MM:SSZ] or -7d (default: now)"
    )
    parser.add_argument("--leads", type=int, help="number of leads of northwind")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="added to every answer")
    parser.add_argument(
        "--connection-close", action="store_true", help="close after every answer, as the recorded server did"
    )
    parser.add_argument("--databases", default="northwind,nkretail,podium", help="of the stand-in Odoo")
    parser.add_argument("--sources", default=",".join(SOURCES), help="which stand-ins")
    parser.add_argument("--records", type=int, help="records of the largest table of every stand-in but Odoo")
    parser.add_argument(
        "--folder", type=Path, help="where stand-ins that are files are written (default: a temporary one)"
    )
    parser.add_argument("--apn-port", type=int, default=0, help="of the stand-in APN database (default: a free one)")
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    # uvicorn ends with the signal that stopped it, which would skip what stand-ins clean up
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if given.parent:
        exit_with(given.parent)
    options = Options(
        given.seed, given.scale, given.start, given.leads, given.latency_ms, given.connection_close,
        tuple(name for name in given.databases.split(",") if name),
        tuple(name for name in given.sources.split(",") if name), given.records, given.folder, given.apn_port,
    )  # fmt: skip
    if given.fd is None:
        print(f"sandbox on http://{HOST}:{given.port} ({given.sources})", file=sys.stderr)
    with contextlib.suppress(KeyboardInterrupt):
        serve(given.port, options, given.fd)


if __name__ == "__main__":
    main()
