"""`COPY opportunity TO STDOUT`, every byte received and thrown away: what no reader of that table can beat."""

import time
from typing import Any

import psycopg

from bench.harness import worker


def copy_out(port: int) -> dict[str, Any]:
    """Seconds, rows and bytes."""
    with psycopg.connect(f"host=127.0.0.1 port={port} dbname=apn user=reader password=reader") as connection:
        started = time.perf_counter()
        rows = size = 0
        with connection.cursor().copy("COPY apn.opportunity TO STDOUT") as copy:
            for row in copy:
                rows += 1
                size += len(row)
        return {"seconds": time.perf_counter() - started, "rows": rows, "bytes": size}


if __name__ == "__main__":
    worker(copy_out)
