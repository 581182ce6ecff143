"""`lake sandbox` runs until Ctrl-C."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
import requests

from sandbox.server import Sandbox
from tests.cli.command import LAKE, clean_environment
from tests.cli.conftest import unused_port_number


def test_the_stand_in_sources_run_until_ctrl_c(tmp_path: Path) -> None:
    port = unused_port_number()
    command = [LAKE, "sandbox", "--port", str(port), "--scale", "0.02", "--seed", "11"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        sandbox = Sandbox(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + 300
        while True:
            try:
                health = sandbox.health()
                break
            except requests.ConnectionError:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert health["seed"] == 11
        assert set(health["sources"]["odoo"]) == {"northwind", "nkretail", "podium"}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert (out, "Traceback" in err) == ("", False)
    assert process.returncode in (0, 130)
    with pytest.raises(requests.ConnectionError):
        sandbox.health()
