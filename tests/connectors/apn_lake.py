"""The stand-in APN database, and a lake that reads it."""

from pathlib import Path
from typing import Any

from resources.connectors.apn import ApnSource
from resources.connectors.postgres import PostgresConnector, PostgresSource
from sandbox.server import Sandbox
from tests.lakes import SyncedLake, write_config


def port_of(sandbox: Sandbox) -> int:
    return sandbox.health()["sources"]["apn"]["podium"]["port"]


def sql(sandbox: Sandbox, statement: str, hold_seconds: float | None = None) -> list[list[Any]]:
    """A statement as the database's owner."""
    body = {"statement": statement, "hold_seconds": hold_seconds}
    return sandbox._call("POST", "apn/podium/sql", {key: value for key, value in body.items() if value is not None})[
        "rows"
    ]


def block(port: int, **more: Any) -> dict[str, Any]:
    """The block of `lake.yaml`."""
    return {"type": "apn", "port": port, "username": "reader", "password": "reader", "timeout_seconds": 20, **more}


def connector(port: int, **more: Any) -> PostgresConnector:
    """A connector that waits for nothing between its tries."""
    settings = {**block(port), **more}
    model = ApnSource if settings["type"] == "apn" else PostgresSource
    return PostgresConnector("apn", model.model_validate(settings), "podium", sleep=lambda seconds: None)


def lake_of(folder: Path, port: int, **more: Any) -> SyncedLake:
    return SyncedLake(write_config(folder, {"podium": {"apn": block(port, **more)}}))
