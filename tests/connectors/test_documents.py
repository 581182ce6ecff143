"""Documents are read once, found gone when they are gone, and never silently lost when they cannot be read."""

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
import pytest
from botocore import exceptions as boto

from resources.connectors import documents
from resources.connectors.base import MissingAtSource, NotPermitted, PermanentError, TransientError
from resources.connectors.document_text import format_of, text_of
from resources.connectors.documents import DocumentsConnector, DocumentsSource
from sandbox.clock import Clock, parse_moment
from sandbox.context import Context, Options
from sandbox.documents import source as stand_in
from sandbox.documents.pdf import pdf
from tests.lakes import SyncedLake, write_config

START = parse_moment("2026-11-14")


@pytest.fixture
def sandbox(tmp_path: Path) -> stand_in.DocumentsSource:
    return stand_in.DocumentsSource(Context(Options(folder=tmp_path, start=START), Clock(START)))


@pytest.fixture
def lake(sandbox: stand_in.DocumentsSource, tmp_path: Path) -> SyncedLake:
    block = {"type": "documents", "folder": str(sandbox.folder)}
    return SyncedLake(write_config(tmp_path / "lake", {"podium": {"documents": block}}))


def connector(folder: str, **more: Any) -> DocumentsConnector:
    return DocumentsConnector("documents", DocumentsSource.model_validate({"folder": folder, **more}), "podium")


def capture(lake: SyncedLake, **options: Any) -> Any:
    return lake.capture("documents", source="documents", **options)["documents"]


def records(source: DocumentsConnector) -> dict[str, dict[str, Any]]:
    schema = source.schema("documents")
    ids = [path for batch in source.inventory(schema) for path, _ in batch]
    return {record["path"]: record for page in source.by_ids(schema, ids) for record in page.records}  # type: ignore[union-attr]


# -- reading -------------------------------------------------------------------------------------------------------------


def test_every_file_becomes_a_record(sandbox: stand_in.DocumentsSource) -> None:
    truth = {row["path"]: row for row in sandbox.truth("podium", "documents")}
    got = records(connector(str(sandbox.folder)))
    assert {path: (row["size"], row["sha256"]) for path, row in got.items()} == {
        path: (row["size"], row["sha256"]) for path, row in truth.items()
    }
    sheet = got["products/managed-service.pdf"]
    assert (sheet["format"], sheet["pages"], sheet["title"]) == ("pdf", 3, "Product sheet: Managed service")
    assert "Clause 39: Monitoring around the clock" in sheet["text"]
    page = got["partner-central/request-map-funding.html"]
    assert page["text"].startswith("Request MAP funding\n")
    assert "Mobilize, Migrate & Modernize" in page["text"]
    assert "track(" not in page["text"]
    assert got["partner-central/register-an-opportunity.md"]["title"] == "Register an opportunity"


def test_what_cannot_be_read_says_so(sandbox: stand_in.DocumentsSource) -> None:
    got = records(connector(str(sandbox.folder)))
    broken = {path: row for path, row in got.items() if row["error"]}
    assert broken.keys() == {"broken/scan.pdf", "broken/latin-1.txt", "broken/empty.md"}
    assert broken["broken/scan.pdf"]["error"].startswith("not a readable PDF")
    assert (
        broken["broken/scan.pdf"]["sha256"]
        == hashlib.sha256((sandbox.folder / "broken/scan.pdf").read_bytes()).hexdigest()
    )
    assert broken["broken/latin-1.txt"]["error"] == "not UTF-8 from byte 2 on"
    assert broken["broken/latin-1.txt"]["text"].endswith("12 St\ufffdck\n")
    assert broken["broken/empty.md"]["error"] == "the file is empty"


def test_the_next_sync_reads_what_changed_and_finds_what_is_gone(
    sandbox: stand_in.DocumentsSource, lake: SyncedLake
) -> None:
    first = capture(lake)
    assert (first.status, first.rows_written) == ("ok", 28)
    again = capture(lake)
    assert (again.status, again.rows_read) == ("unchanged", 0)
    told = sandbox.advance(parse_moment("2026-12-05"), None)["podium"]["documents"]
    outcome = capture(lake)
    changed = {row["source_id"]: row["change_type"] for row in lake.bronze("documents", source="documents")
               if row["sync_batch_id"] == "run-0003"}  # fmt: skip
    upserts = dict.fromkeys([*told["created"], *told["updated"]], "upsert")
    assert changed == {**upserts, **dict.fromkeys(told["deleted"], "delete")}
    assert told["deleted"]
    assert outcome.rows_deleted == len(told["deleted"])
    titles = lake.query("SELECT path, size, modified FROM raw.documents_documents")
    assert {path: size for path, size, _ in titles} == {
        row["path"]: row["size"] for row in sandbox.truth("podium", "documents")
    }


def test_a_file_that_was_only_touched_is_no_change(sandbox: stand_in.DocumentsSource, lake: SyncedLake) -> None:
    capture(lake)
    touched = sandbox.folder / "products" / "aws-resale.pdf"
    os.utime(touched)
    outcome = capture(lake)
    assert (outcome.status, outcome.rows_read) == ("unchanged", 1)
    again = capture(lake)
    assert (again.status, again.rows_read) == ("unchanged", 0)
    touched.write_bytes(touched.read_bytes() + b"%")
    assert capture(lake).rows_written == 1
    assert capture(lake, full=True).rows_read == 28


def test_a_file_that_changed_under_the_same_time_is_read(sandbox: stand_in.DocumentsSource, lake: SyncedLake) -> None:
    capture(lake)
    written = sandbox.folder / "products" / "aws-resale.pdf"
    before = written.stat()
    written.write_bytes(written.read_bytes() + b"%")
    os.utime(written, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert capture(lake).rows_written == 1
    assert capture(lake).rows_read == 0


def test_a_file_that_was_gone_and_comes_back_is_read(sandbox: stand_in.DocumentsSource, lake: SyncedLake) -> None:
    capture(lake)
    file = sandbox.folder / "products" / "aws-resale.pdf"
    file.rename(sandbox.folder / "products" / "aws-resale.bak")
    assert capture(lake).rows_deleted == 1
    (sandbox.folder / "products" / "aws-resale.bak").rename(file)
    assert capture(lake).rows_written == 1


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "good.md").write_text("# Good")
    (folder / os.fsdecode(b"caf\xe9.md")).write_text("# Coffee")
    lake = SyncedLake(
        write_config(tmp_path / "lake", {"podium": {"documents": {"type": "documents", "folder": str(folder)}}})
    )
    assert capture(lake).rows_written == 2
    rows = lake.query("SELECT path, title FROM raw.documents_documents ORDER BY path")
    assert rows == [("caf\\xe9.md", "Coffee"), ("good.md", "Good")]
    assert capture(lake).rows_read == 0
    (folder / os.fsdecode(b"caf\xe9.md")).unlink()
    assert capture(lake).rows_deleted == 1


def test_only_files_inside_the_folder_are_read(sandbox: stand_in.DocumentsSource, tmp_path: Path) -> None:
    """A link into the folder is a name more; one out of it would show whatever the lake's user may read."""
    before = set(records(connector(str(sandbox.folder))))
    (tmp_path / "secret.txt").write_text("not yours")
    (sandbox.folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (sandbox.folder / "broken.txt").symlink_to(tmp_path / "nothing.txt")
    (sandbox.folder / "in.pdf").symlink_to(sandbox.folder / "products/aws-resale.pdf")
    os.mkfifo(sandbox.folder / "pipe.txt")
    assert set(records(connector(str(sandbox.folder)))) == {*before, "in.pdf"}


def test_a_folder_that_cannot_be_listed_deletes_nothing(
    sandbox: stand_in.DocumentsSource, lake: SyncedLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(lake)
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if str(path).endswith("products"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refusing)  # the tests run as root, who may list everything
        outcome = capture(lake, confirm_deletes=True)
    assert (outcome.status, outcome.rows_deleted) == ("not_permitted", 0)
    assert "may not be read" in outcome.message
    assert capture(lake).status == "unchanged"


def test_a_page_is_bounded_by_its_bytes(sandbox: stand_in.DocumentsSource, monkeypatch: pytest.MonkeyPatch) -> None:
    source = connector(str(sandbox.folder))
    ids = sorted(records(source))
    schema = source.schema("documents")
    assert [len(page.records) for page in source.by_ids(schema, ids)] == [28]
    monkeypatch.setattr(documents, "BYTES_A_PAGE", 1)
    pages: list[Any] = list(source.by_ids(schema, ids))
    assert [record["path"] for page in pages for record in page.records] == ids
    assert max(sum(bool(record["text"]) for record in page.records) for page in pages) == 1


def test_a_mass_of_files_gone_waits_for_a_confirmation(sandbox: stand_in.DocumentsSource, lake: SyncedLake) -> None:
    capture(lake)
    paths = [row["path"] for row in sandbox.truth("podium", "documents")]
    sandbox.change("podium", "documents", [], paths[:20])  # type: ignore[arg-type]
    outcome = capture(lake)
    assert (outcome.held_deletes, outcome.rows_deleted) == (20, 0)
    assert capture(lake, confirm_deletes=True).rows_deleted == 20


def test_a_bucket_is_read_like_a_folder() -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/shelf/a/one.md", b"# One\n\ntext")
    store.pipe("/shelf/two.txt", "zwei ✓".encode())
    store.pipe("/shelf/three.docx", b"other kinds are none")
    source = connector("memory://shelf")
    got = records(source)
    assert {path: (row["title"], row["size"]) for path, row in got.items()} == {
        "a/one.md": ("One", 11),
        "two.txt": ("zwei ✓", 8),
    }
    assert source.check().startswith("2 documents")


def test_a_poll_sees_a_newer_file(sandbox: stand_in.DocumentsSource) -> None:
    source = connector(str(sandbox.folder))
    assert not source.has_changes({"documents": START})
    assert not source.has_changes({})
    sandbox.change("podium", "documents", [{"path": "x.md", "text": "# X"}], [])
    assert source.has_changes({"documents": START - timedelta(seconds=1)})


# -- trouble ---------------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_deletes_nothing(
    sandbox: stand_in.DocumentsSource, lake: SyncedLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(lake)
    sandbox.folder.rename(sandbox.folder.with_name("unmounted"))
    outcome = capture(lake)
    assert (outcome.status, outcome.rows_deleted) == ("missing_at_source", 0)
    assert "there is no folder" in outcome.message
    monkeypatch.setenv("DOCUMENTS_TEST_FOLDER", "some/folder")
    with pytest.raises(PermanentError, match="an absolute path or a URL is expected"):
        connector("${DOCUMENTS_TEST_FOLDER}").check()
    with pytest.raises(MissingAtSource, match="has no table pages"):
        connector(str(sandbox.folder)).schema("pages")


class Failing:
    """A store that fails as it is told to."""

    def __init__(self, folder: Path) -> None:
        self.local = fsspec.filesystem("file")
        self.folder = folder
        self.errors: dict[str, Exception] = {}

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            if name in self.errors:
                raise self.errors[name]
            return getattr(self.local, name)(*args, **options)

        return call


@pytest.fixture
def failing(sandbox: stand_in.DocumentsSource) -> tuple[Failing, DocumentsConnector]:
    store = Failing(sandbox.folder)
    source = connector(str(sandbox.folder))
    source._opened = (store, str(sandbox.folder))
    return store, source


def test_a_store_that_does_not_answer_fails_the_table_and_loses_nothing(
    failing: tuple[Failing, DocumentsConnector],
) -> None:
    store, source = failing
    store.errors = {"cat_file": TimeoutError("read timed out")}
    with pytest.raises(
        TransientError, match=r"source documents, table documents: the store does not answer: read timed out"
    ):
        records(source)
    store.errors = {"find": PermissionError(13, "Access Denied")}
    with pytest.raises(NotPermitted, match="Access Denied"):
        source.check()


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (boto.NoCredentialsError(), PermanentError, "Unable to locate credentials.*AWS_ACCESS_KEY_ID"),
        (
            boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            PermanentError,
            "AWS_SECRET_ACCESS_KEY",
        ),
        (boto.ProfileNotFound(profile="acme"), PermanentError, "acme"),
        (boto.EndpointConnectionError(endpoint_url="https://s3.test"), TransientError, "does not answer.*s3.test"),
        (boto.ReadTimeoutError(endpoint_url="https://s3.test"), TransientError, "does not answer"),
        (aiohttp.ClientPayloadError("cut"), TransientError, "does not answer: cut"),
    ],
)
def test_what_a_bucket_s_client_says_is_told(
    failing: tuple[Failing, DocumentsConnector], error: Exception, kind: type[Exception], text: str
) -> None:
    store, source = failing
    for call in ("find", "cat_file", "isdir"):
        store.errors = {call: error}
        with pytest.raises(kind, match=f"source documents, table documents: .*{text}"):
            records(source)


def test_a_bucket_without_credentials_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PermanentError, match="Unable to locate credentials"):
        connector("s3://no-such-shelf/docs").check()


def test_a_file_that_may_not_be_read_or_is_too_large_is_recorded(failing: tuple[Failing, DocumentsConnector]) -> None:
    store, source = failing
    store.errors = {"cat_file": PermissionError(13, "no")}
    got = records(source)
    assert {row["error"] for row in got.values()} == {"may not be read"}
    assert all(row["size"] is not None and row["text"] is None for row in got.values())
    small = connector(str(store.folder), max_megabytes=0.001)
    assert records(small)["products/managed-service.pdf"]["error"] == "larger than max_megabytes (0.001)"


def test_a_file_that_goes_while_the_folder_is_read_is_left_out(sandbox: stand_in.DocumentsSource) -> None:
    source = connector(str(sandbox.folder))
    schema = source.schema("documents")
    pages: list[Any] = list(source.by_ids(schema, ["products/aws-resale.pdf", "products/gone.pdf"]))
    assert [record["path"] for page in pages for record in page.records] == ["products/aws-resale.pdf"]


# -- text ---------------------------------------------------------------------------------------------------------------------


def test_text_of_odd_files() -> None:
    assert text_of("a.txt", "\ufeffmit BOM".encode()).text == "mit BOM"
    assert text_of("a.txt", "UTF-16 ✓".encode("utf-16")).text == "UTF-16 ✓"
    assert text_of("a.md", b"no heading\n\nat all").title == "no heading"
    assert text_of("notes.md", b"\n \n").title == "notes.md"
    page = text_of("a.htm", "<p>a<b>b</b>c</p><p>ä<br>d</p><table><tr><td>1</td><td>2</td></tr></table>".encode())
    assert page.text == "abc\n\nä\n\nd\n\n1 2"
    declared = "<meta charset='windows-1252'><title>Größe</title>x".encode("cp1252")
    assert text_of("a.html", declared).title == "Größe"
    assert text_of("blank.pdf", pdf("Blank", [])).error == "no page has text: scanned, perhaps"
    assert text_of("fake.pdf", b"<html>not found</html>").error is not None
    assert [format_of(name) for name in ("A.MD", "x.docx", "README", "a.tar.html")] == ["markdown", None, None, "html"]
