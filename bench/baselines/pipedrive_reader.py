"""The least that a concurrent client of Pipedrive can do: ask, decode, drop.

It knows beforehand what our connector had to find out: which windows to read side by side. In each it follows the
cursor, as one must.
"""

import json
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import requests

from bench.harness import worker


def chains(asked: list[Any]) -> list[tuple[str, dict[str, str], int]]:
    """The windows: address, parameters without cursor, and how many pages were read of it."""
    pages: dict[str, tuple[str, dict[str, str], int]] = {}
    for url, given in asked:
        params = {name: value for name, value in given.items() if name != "cursor"}
        key = json.dumps([url, params], sort_keys=True)
        count = pages[key][2] if key in pages else 0
        pages[key] = (url, params, count + 1)
    return list(pages.values())


def read(asked_file: str, token: str) -> dict[str, Any]:
    """Seconds, and how many rows of deals came."""
    noted = json.loads(Path(asked_file).read_text())
    todo = chains([entry for entry in noted["asked"] if "/deals" in entry[0]])
    todo.sort(key=lambda chain: chain[2])  # taken from the end: the longest first
    lock, rows = threading.Lock(), 0

    def work() -> None:
        nonlocal rows
        with requests.Session() as session:
            session.trust_env = False
            session.headers["x-api-token"] = token
            while True:
                with lock:
                    if not todo:
                        return
                    url, params, pages = todo.pop()
                cursor = None
                for _ in range(pages):
                    answer = session.get(url, params={**params, **({"cursor": cursor} if cursor else {})})
                    body = orjson.loads(answer.content)
                    cursor = body["additional_data"]["next_cursor"]
                    with lock:
                        rows += len(body["data"])

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(noted["at_once"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": time.perf_counter() - started, "rows": rows}


if __name__ == "__main__":
    worker(read)
