"""One cursor over Salesforce's opportunities, batch after batch: read and dropped, or as a dlt resource to Parquet.

The resource is what dlt's own Salesforce source does without the Bulk API (a query, then its next records), asked as our
connector asks (the same columns, deleted records included) and set as dlt's guide on performance has it, see
`dlt_resource.py`. `attributes` is left out, of which dlt would make columns.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import requests

from bench.baselines.dlt_resource import SETTINGS
from bench.harness import worker

API = "/services/data/v62.0"
LEFT_OUT = ("address", "location", "base64")
DLT_TYPES = {"boolean": "bool", "int": "bigint", "double": "double", "currency": "double", "percent": "double"}


def batches(url: str, client_id: str, client_secret: str, kinds: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    """The records of each batch; `kinds` gets the columns and their types."""
    with requests.Session() as session:
        session.trust_env = False
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        login = session.post(f"{url}/services/oauth2/token", data=form).json()
        session.headers["Authorization"] = f"Bearer {login['access_token']}"
        described = session.get(f"{url}{API}/sobjects/Opportunity/describe").json()
        kinds |= {field["name"]: field["type"] for field in described["fields"] if field["type"] not in LEFT_OUT}
        query = f"SELECT {','.join(kinds)} FROM Opportunity ORDER BY SystemModstamp, Id"
        answer = orjson.loads(session.get(f"{url}{API}/queryAll", params={"q": query}).content)
        yield answer["records"]
        while not answer["done"]:
            answer = orjson.loads(session.get(url + answer["nextRecordsUrl"]).content)
            yield answer["records"]


def run(way: str, url: str, client_id: str, client_secret: str, folder: str) -> dict[str, Any]:
    """`way`: drop or dlt."""
    kinds: dict[str, str] = {}
    if way == "drop":
        started = time.perf_counter()
        rows = sum(len(records) for records in batches(url, client_id, client_secret, kinds))
        return {"seconds": time.perf_counter() - started, "rows": rows}

    os.environ.update(SETTINGS | {"DLT_DATA_DIR": folder, "DATA_WRITER__BUFFER_MAX_ITEMS": "100000"})
    import dlt  # pyright: ignore[reportMissingImports]
    from dlt.destinations import filesystem  # pyright: ignore[reportMissingImports]

    started = time.perf_counter()

    def pages() -> Iterator[Any]:
        hinted = False
        for records in batches(url, client_id, client_secret, kinds):
            for record in records:
                del record["attributes"]
            if not hinted:
                hints = {name: {"data_type": DLT_TYPES.get(kind, "text")} for name, kind in kinds.items()}
                yield dlt.mark.with_hints(records, dlt.mark.make_hints(columns=hints))  # type: ignore[arg-type]
                hinted = True
            else:
                yield records

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=f"{folder}/pipelines",
        destination=filesystem(bucket_url=f"file://{folder}/out"),
        dataset_name="salesforce",
    )
    info = pipeline.run(dlt.resource(pages, name="opportunity", max_table_nesting=0), loader_file_format="parquet")
    info.raise_on_failed_jobs()
    files = sorted(str(path) for path in Path(folder, "out").rglob("opportunity/*.parquet"))
    return {"seconds": time.perf_counter() - started, "files": files}


if __name__ == "__main__":
    worker(run)
