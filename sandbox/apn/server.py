"""The Postgres under the stand-in database: started through the guardian, reached as its owner.

What does not belong here: what is in the database (`story.py`, `bulk.py`) and what happens to it (`living.py`).
"""

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

HOST = "127.0.0.1"
DATABASE = "apn"
READER = "reader"


class Server:
    """A running Postgres with an empty database `apn`, the user `reader` (password `reader`), who may only read, and the
    stand-in's own user `owner`.

    Parameters:
        port: where it listens on 127.0.0.1; 0: a free port.
    """

    def __init__(self, port: int) -> None:
        self._password = secrets.token_hex(16)
        root = str(Path(__file__).resolve().parent.parent.parent)
        self._guardian = subprocess.Popen(
            [sys.executable, "-m", "sandbox.apn.guardian", str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True,
        )  # fmt: skip
        assert self._guardian.stdin is not None
        assert self._guardian.stdout is not None
        self._guardian.stdin.write(self._password + "\n")
        self._guardian.stdin.flush()
        said: dict[str, Any] = json.loads(self._guardian.stdout.readline() or '{"error": "the guardian ended"}')
        if "error" in said:
            raise RuntimeError(f"the stand-in APN database did not start: {said['error']}")
        self.port: int = said["port"]
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {DATABASE} STRATEGY file_copy")
            connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{READER}'")

    def connect(self, database: str = DATABASE, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A connection as owner, who may do everything."""
        return psycopg.connect(
            host=HOST, port=self.port, dbname=database, user="owner", password=self._password, autocommit=autocommit
        )

    def close(self) -> None:
        """End the server and remove its folder."""
        self._guardian.communicate(timeout=30)  # closes the pipe that the guardian waits at
