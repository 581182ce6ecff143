"""The partner's documents as a source of the sandbox: a folder of files, edited, added, renamed and deleted as days pass.

Clients read the folder that `describe()` tells: `<folder>/podium/documents` where the sandbox was given a folder, else a
temporary one. Files carry the story's moments as their modification times. Some are broken from the start: a PDF cut in half,
a text that is no UTF-8, an empty file. INVENTED: how often what happens.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from starlette.routing import BaseRoute

from sandbox.clock import parse_moment
from sandbox.collection import Record
from sandbox.context import Context
from sandbox.days import days_between, moment_of_day, often
from sandbox.documents.texts import Document, document
from sandbox.world import World

TENANT = "podium"
ENTITY = "documents"
USUAL = 25
RATES = {"edit": 1.5, "add": 0.5, "rename": 0.15, "delete": 0.15}
"""How often a day what happens."""
_MARK, _PREFIX = ".sandbox", "sandbox-documents-"


class DocumentsSource:
    """The documents of the tenant podium."""

    def __init__(self, context: Context) -> None:
        options = context.options
        self.context = context
        self.world = World(TENANT, options.seed, companies=max(8, round(24 * options.scale)))
        self._temporary = options.folder is None
        self._base = _temporary_folder() if options.folder is None else options.folder / TENANT
        self.folder = self._base / ENTITY
        self._prepare()
        self.documents: dict[str, Document] = {}
        self.lived_until = context.clock.start
        self._next = max(4, round(USUAL * options.scale))  # a folder for people: `records` is about tables
        for number in range(self._next):
            made, random = document(self.world, number), self.world.random("document", number)
            self._write(made, context.clock.start - timedelta(days=1 + 300 * random.random()))
        self._break(context.clock.start - timedelta(days=9))

    def _prepare(self) -> None:
        """An empty folder, never by deleting what no sandbox made."""
        mark = self._base / _MARK
        if self.folder.exists() and any(self.folder.iterdir()) and not mark.exists():
            raise ValueError(f"{self.folder} is not empty, and no sandbox wrote it: give another --folder")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        mark.touch()

    def _break(self, moment: datetime) -> None:
        whole = Document("broken/scan.pdf", "Scan", ["Signed contract"]).content()
        self._store("broken/scan.pdf", whole[: len(whole) // 2], moment)
        self._store("broken/latin-1.txt", "Größe und Menge: 12 Stück\n".encode("latin-1"), moment)
        self._store("broken/empty.md", b"", moment)

    # -- files ----------------------------------------------------------------------------------------------------------

    def _store(self, path: str, content: bytes, moment: datetime) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.new")
        aside.write_bytes(content)
        os.utime(aside, (moment.timestamp(), moment.timestamp()))
        aside.replace(target)

    def _write(self, made: Document, moment: datetime) -> None:
        self.documents[made.path] = made
        self._store(made.path, made.content(), moment)

    def _paths(self) -> list[str]:
        found = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return sorted(path for path in found if not path.endswith(".new"))

    # -- what the sandbox asks --------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """None: clients read files."""
        return []

    def describe(self) -> dict[str, Any]:
        """The folder and the number of files."""
        return {TENANT: {"folder": str(self.folder), ENTITY: len(self._paths())}}

    def truth(self, tenant: str, entity: str) -> list[Record]:
        """Every file: path, size, hash of its content, modification time."""
        records = []
        for path in self._paths():
            content = (self.folder / path).read_bytes()
            modified = datetime.fromtimestamp((self.folder / path).stat().st_mtime, UTC).isoformat()
            digest = hashlib.sha256(content).hexdigest()
            records.append({"path": path, "size": len(content), "sha256": digest, "modified": modified})
        return records

    def change(self, tenant: str, entity: str, put: list[Record], delete: list[int | str]) -> list[int | str]:
        """`{"path", "text"}` writes a file (`"modified"`: its time, else now); a path deletes one."""
        for record in put:
            moment = parse_moment(record["modified"]) if "modified" in record else self.context.clock.now()
            self.documents.pop(record["path"], None)
            self._store(record["path"], record["text"].encode(), moment)
        for path in delete:
            self.documents.pop(str(path), None)
            (self.folder / str(path)).unlink()
        return [record["path"] for record in put]

    def advance(self, to: datetime, tenant: str | None) -> dict[str, Any]:
        """Let the folder live up to `to`. A renamed file counts as one deleted and one created."""
        if tenant not in (None, TENANT):
            return {}
        before = {record["path"]: record["sha256"] for record in self.truth(TENANT, ENTITY)}
        begin = self.lived_until
        for day in days_between(begin, to):
            for moment, act, random in self._plan(day):
                if begin <= moment < to:
                    act(moment, random)
        self.lived_until = max(begin, to)
        after = {record["path"]: record["sha256"] for record in self.truth(TENANT, ENTITY)}
        changes = {
            "created": sorted(after.keys() - before.keys()),
            "updated": sorted(path for path in after.keys() & before.keys() if after[path] != before[path]),
            "deleted": sorted(before.keys() - after.keys()),
        }
        return {TENANT: {ENTITY: changes} if any(changes.values()) else {}}

    def close(self) -> None:
        """Remove the folder if it is a temporary one."""
        if self._temporary:
            shutil.rmtree(self._base, ignore_errors=True)

    # -- days ------------------------------------------------------------------------------------------------------------

    def _plan(self, day: date) -> list[tuple[datetime, Callable[[datetime, Random], None], Random]]:
        """The day's events in their order; they depend on the seed and the day alone."""
        random = self.world.random("documents day", day.isoformat())
        events = []
        for name, rate in RATES.items():
            for number in range(often(random, rate * (0.2 if day.weekday() >= 5 else 1))):
                own = self.world.random(f"document {name}", f"{day}/{number}")
                events.append((moment_of_day(own, day), getattr(self, f"_{name}"), own))
        return sorted(events, key=lambda event: event[0])

    def _pick(self, random: Random) -> Document:
        return self.documents[random.choice(sorted(self.documents))]

    def _edit(self, moment: datetime, random: Random) -> None:
        made = self._pick(random)
        made.notes.append(f"Note of {moment:%d %B %Y}: reviewed, version {len(made.notes) + 2}.")
        self._write(made, moment)

    def _add(self, moment: datetime, random: Random) -> None:
        self._write(document(self.world, self._next), moment)
        self._next += 1

    def _rename(self, moment: datetime, random: Random) -> None:
        made = self._pick(random)
        stem, _, ending = made.path.rpartition(".")
        self.documents.pop(made.path)
        (self.folder / made.path).unlink()
        made.path = f"{stem}-{moment:%Y%m%d}.{ending}"
        self._write(made, moment)

    def _delete(self, moment: datetime, random: Random) -> None:
        if len(self.documents) > 3:
            path = self._pick(random).path
            self.documents.pop(path)
            (self.folder / path).unlink()


def _temporary_folder() -> Path:
    """A folder named after this process; those of sandboxes that were killed are removed."""
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if pid.isdigit() and not _runs(int(pid)):
                shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
