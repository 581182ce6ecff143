"""The least that a client of the source can do: ask, decode, drop. The same requests as our connector, one after the other."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import orjson
import requests

from bench.harness import worker


def answers(asked_file: str) -> Iterator[Any]:
    """The result of each request in the file, over one connection that is kept."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Content-Type"] = "application/json"
        for url, body in json.loads(Path(asked_file).read_text()):
            yield orjson.loads(session.post(url, data=body).content).get("result")


def is_page(result: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether these are leads, and not labels (`id` and `display_name`) or bare ids."""
    return isinstance(result, list) and bool(result) and isinstance(result[0], dict) and len(result[0]) > 2


def loop(asked_file: str) -> dict[str, Any]:
    started = time.perf_counter()
    rows = 0
    for result in answers(asked_file):
        if is_page(result):
            rows += len(result)
    return {"seconds": time.perf_counter() - started, "rows": rows}


if __name__ == "__main__":
    worker(loop)
