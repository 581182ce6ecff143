"""A dlt resource that reads the same pages and yields the same records, cleaned, to Parquet.

Cleaned, because of raw Odoo records dlt makes boolean columns of the `false` for "no value" and a child table of every
`[id, label]` pair: here `false` is None, a reference is its id with its label beside it, and lists of ids are JSON.

Set as dlt's guide on performance has it: whole pages yielded, buffers larger than the data, no nesting, columns known beforehand,
no compression of its intermediate files, names taken as they are, no telemetry. `rows` yields the dictionaries,
`arrow` Arrow tables made of them, which dlt hands through without looking at each row.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from bench.baselines.bare_loop import answers, is_page
from bench.harness import worker

SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "100000",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_ID": "false",
    "SCHEMA__NAMING": "direct",
    "NORMALIZE__WORKERS": "1",
    "LOAD__WORKERS": "1",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
}

DLT_TYPES = {
    "boolean": "bool",
    "integer": "bigint",
    "many2one_reference": "bigint",
    "float": "double",
    "monetary": "double",
    "datetime": "text",
    "date": "text",
}
"""Odoo's field type -> dlt's; the rest is text. Times stay texts, as in bronze: nobody parses them here either."""

ARROW_TYPES = {"bool": pa.bool_(), "bigint": pa.int64(), "double": pa.float64(), "text": pa.string()}
NUMBERS = ("integer", "float", "monetary", "boolean")


def columns_of(fields: dict[str, Any], names: list[str]) -> dict[str, str]:
    """Name -> dlt type of the cleaned columns."""
    columns: dict[str, str] = {}
    for name in names:
        kind = fields[name]["type"]
        if kind == "many2one":
            columns |= {name: "bigint", f"{name}__label": "text"}
        else:
            columns[name] = DLT_TYPES.get(kind, "text")
    return columns


def cleaned(records: list[dict[str, Any]], fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The records as a table wants them, changed in place."""
    references = [name for name, field in fields.items() if field["type"] == "many2one"]
    lists = [name for name, field in fields.items() if field["type"] in ("one2many", "many2many", "properties")]
    texts = [
        name for name, field in fields.items() if field["type"] not in (*NUMBERS, "many2one") and name not in lists
    ]
    for record in records:
        for name in references:
            value = record.get(name)
            if type(value) is list:
                record[name], record[f"{name}__label"] = value
            else:
                record[name] = value or None
                record[f"{name}__label"] = None
        for name in lists:
            if name in record:
                record[name] = orjson.dumps(record[name]).decode()
        for name in texts:
            if record.get(name) is False:
                record[name] = None
    return records


def load(asked_file: str, folder: str, way: str) -> dict[str, Any]:
    """`way`: rows or arrow. Returns seconds, and where the Parquet files are."""
    os.environ.update({**SETTINGS, "DLT_DATA_DIR": f"{folder}/dlt"})
    import dlt  # pyright: ignore[reportMissingImports]
    from dlt.destinations import filesystem  # pyright: ignore[reportMissingImports]

    started = time.perf_counter()
    fields: dict[str, Any] = {}
    columns: dict[str, str] = {}

    def pages() -> Iterator[list[dict[str, Any]]]:
        for result in answers(asked_file):
            if isinstance(result, dict) and "write_date" in result:
                fields.update(result)
            elif is_page(result):
                if not columns:
                    columns.update(columns_of(fields, list(result[0])))
                yield cleaned(result, {name: fields[name] for name in result[0]})

    def tables() -> Iterator[pa.Table]:
        for page in pages():
            schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
            yield pa.Table.from_pylist(page, schema)

    def hinted() -> Iterator[Any]:
        source = pages()
        first = next(source)
        hints = {name: {"data_type": kind} for name, kind in columns.items()}
        yield dlt.mark.with_hints(first, dlt.mark.make_hints(columns=hints))  # type: ignore[arg-type]
        yield from source

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=f"{folder}/pipelines",
        destination=filesystem(bucket_url=f"file://{folder}/out"),
        dataset_name="lead",
    )
    resource = dlt.resource(tables if way == "arrow" else hinted, name="crm_lead", max_table_nesting=0)
    info = pipeline.run(resource, loader_file_format="parquet")
    info.raise_on_failed_jobs()
    files = sorted(str(path) for path in Path(folder, "out").rglob("crm_lead/*.parquet"))
    return {"seconds": time.perf_counter() - started, "files": files}


if __name__ == "__main__":
    worker(load)
