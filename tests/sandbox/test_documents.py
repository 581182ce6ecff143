"""The stand-in document folder: files of four formats, broken ones, and days on which they change."""

import io
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from sandbox.clock import Clock, parse_moment
from sandbox.context import Context, Options
from sandbox.documents.source import DocumentsSource

START = parse_moment("2026-11-14")


def source(folder: Path | None, **options: Any) -> DocumentsSource:
    return DocumentsSource(Context(Options(folder=folder, start=START, **options), Clock(START)))


def test_it_writes_files_that_usual_readers_read(tmp_path: Path) -> None:
    documents = source(tmp_path)
    folder = tmp_path / "podium" / "documents"
    assert documents.describe() == {"podium": {"folder": str(folder), "documents": 28}}
    endings = [path.suffix for path in folder.rglob("*") if path.is_file()]
    assert {ending: endings.count(ending) > 3 for ending in set(endings)} == dict.fromkeys(
        (".md", ".txt", ".html", ".pdf"), True
    )
    sheet = PdfReader(folder / "products" / "managed-service.pdf")
    text = "\n".join(page.extract_text() for page in sheet.pages)
    assert len(sheet.pages) > 1
    assert "Clause 39: Monitoring around the clock" in text
    assert "€0 set-up" in PdfReader(folder / "products" / "aws-resale.pdf").pages[0].extract_text()
    page = (folder / "partner-central" / "request-map-funding.html").read_text()
    assert "<h1>Request MAP funding</h1>" in page
    assert "Mobilize, Migrate &amp; Modernize" in page


def test_some_files_are_broken(tmp_path: Path) -> None:
    source(tmp_path)
    broken = tmp_path / "podium" / "documents" / "broken"
    assert (broken / "empty.md").read_bytes() == b""
    with pytest.raises(UnicodeDecodeError):
        (broken / "latin-1.txt").read_text("utf-8")
    with pytest.raises(Exception, match=r"."):
        PdfReader(io.BytesIO((broken / "scan.pdf").read_bytes()), strict=True)


def test_days_pass_the_same_for_the_same_seed(tmp_path: Path) -> None:
    told = []
    for name, moments in (("one", ["2026-12-05"]), ("three", ["2026-11-16", "2026-11-28T12:00:00Z", "2026-12-05"])):
        documents = source(tmp_path / name)
        changes = [documents.advance(parse_moment(moment), None)["podium"] for moment in moments]
        told.append((documents.truth("podium", "documents"), changes))
    assert told[0][0] == told[1][0]
    changes = told[0][1][0]["documents"]
    assert all(changes[kind] for kind in ("created", "updated", "deleted"))
    assert documents.advance(parse_moment("2026-12-05"), None) == {"podium": {}}
    assert documents.advance(parse_moment("2026-12-09"), "northwind") == {}


def test_files_can_be_put_and_deleted(tmp_path: Path) -> None:
    documents = source(tmp_path)
    put: list[dict[str, Any]] = [{"path": "new/x.md", "text": "# X"}, {"path": "broken/empty.md", "text": "now full"}]
    assert documents.change("podium", "documents", put, ["broken/scan.pdf"]) == ["new/x.md", "broken/empty.md"]
    records = {record["path"]: record for record in documents.truth("podium", "documents")}
    assert "broken/scan.pdf" not in records
    assert records["broken/empty.md"]["size"] == 8
    assert records["new/x.md"]["modified"] >= START.isoformat()


def test_a_folder_of_its_own_is_removed_and_one_of_others_is_left_alone(tmp_path: Path) -> None:
    documents = source(None)
    folder = Path(documents.describe()["podium"]["folder"])
    assert folder.exists()
    documents.close()
    assert not folder.exists()
    mine = source(tmp_path)
    mine.close()
    assert (tmp_path / "podium" / "documents").exists()
    again = source(tmp_path)  # its own folder is written anew
    assert again.truth("podium", "documents") == mine.truth("podium", "documents")
    foreign = tmp_path / "foreign" / "podium" / "documents"
    foreign.mkdir(parents=True)
    (foreign / "thesis.md").write_text("irreplaceable")
    with pytest.raises(ValueError, match="is not empty"):
        source(tmp_path / "foreign")
    assert (foreign / "thesis.md").exists()
