"""An S3 server on loopback (moto's) and a lake whose root is a bucket there."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import requests
import s3fs

from resources.embedded_postgres import EmbeddedPostgres
from resources.postgres import URL_VARIABLE
from sandbox.server import Sandbox, running
from tests.cli.command import CommandLake, command_lake
from tests.cli.conftest import unused_port_number
from tests.lakes import odoo_source

BUCKET, PREFIX = "revlake-test", "some/prefix"
TABLES = ["crm_lead", "crm_stage"]


class Bucket:
    """What is in the bucket, seen by a client that is not ours."""

    def __init__(self, endpoint: str) -> None:
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )

    def objects(self, suffix: str = ".parquet") -> dict[str, str]:
        """Path below the lake's root -> what it is and when it was put there."""
        found: dict[str, str] = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{PREFIX}/"):
            for entry in page.get("Contents", []):
                if entry["Key"].endswith(suffix):
                    found[entry["Key"].removeprefix(f"{PREFIX}/")] = f"{entry['ETag']} {entry['LastModified']}"
        return found

    def unfinished_uploads(self) -> int:
        return len(self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    port = unused_port_number()
    log: Path = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=out, stderr=out
        )
    try:
        bucket = Bucket(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + 180
        while True:
            try:
                requests.get(bucket.environment["AWS_ENDPOINT_URL"], timeout=30)
                break
            except requests.RequestException:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
        bucket.client.create_bucket(Bucket=BUCKET)
        yield bucket
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running(scale=0.05, leads=60, seed=7, databases="northwind", sources="odoo") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def lake(bucket: Bucket, sandbox: Sandbox) -> Iterator[CommandLake]:
    """A lake in the bucket, synced once by the command; its locks are in the embedded Postgres. This process has the command's
    environment, too."""
    tenants = {"northwind": {"odoo": odoo_source(sandbox, tables=TABLES)}}
    with command_lake(tenants, {"root": f"s3://{BUCKET}/{PREFIX}"}) as lake, pytest.MonkeyPatch.context() as patch:
        lake.environment = bucket.environment
        with EmbeddedPostgres(lake.folder / "dagster_home" / "postgres").running() as url:
            for name, value in {**bucket.environment, URL_VARIABLE: url}.items():
                patch.setenv(name, value)
            s3fs.S3FileSystem.clear_instance_cache()
            lake.sync("northwind")
            yield lake
    s3fs.S3FileSystem.clear_instance_cache()
