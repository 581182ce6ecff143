"""Text out of a document's bytes: markdown, plain text, HTML, PDF. Pure functions; what a file holds never raises.

What does not belong here: where files come from (`documents`), cutting text into pieces (`embeddings`).
"""

import io
import logging
import re
from dataclasses import dataclass

from bs4 import BeautifulSoup
from pypdf import PdfReader

FORMATS = {
    "md": "markdown", "markdown": "markdown", "txt": "text", "text": "text", "html": "html", "htm": "html", "xhtml": "html",
    "pdf": "pdf",
}  # fmt: skip
"""Ending of the name -> format."""

_BLOCKS = [
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "tr", "ul",
]  # fmt: skip
_NO_TEXT = ("script", "style", "template", "noscript", "nav", "head")
_TITLE_LENGTH = 200

# It warns of every oddity of a file that it can read all the same.
logging.getLogger("pypdf").setLevel(logging.ERROR)


@dataclass(frozen=True)
class DocumentText:
    """What is in a file. `error`: why there is no text, or not all of it; `pages`: of a PDF."""

    title: str
    text: str | None
    pages: int | None = None
    error: str | None = None


def format_of(path: str) -> str | None:
    """By the name's ending; None for other kinds of files."""
    return FORMATS.get(path.rpartition(".")[2].lower()) if "." in path else None


def text_of(path: str, content: bytes) -> DocumentText:
    """The text of the file `path`."""
    name = path.rpartition("/")[2]
    if not content:
        return DocumentText(name, "", error="the file is empty")
    kind = format_of(path)
    if kind == "pdf":
        return _pdf(name, content)
    if kind == "html":
        return _html(name, content)
    text, error = _decoded(content)
    heading = _first_heading(text) if kind == "markdown" else None
    return DocumentText(heading or _first_line(text) or name, text, error=error)


def _decoded(content: bytes) -> tuple[str, str | None]:
    """Text of UTF-8, or UTF-16 with its mark; else with U+FFFD for what is neither, and why."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace"), None
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        return content.decode("utf-8-sig", "replace"), f"not UTF-8 from byte {error.start} on"


def _first_heading(text: str) -> str | None:
    found = re.search(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", text, re.MULTILINE)
    return found.group(1)[:_TITLE_LENGTH] if found else None


def _first_line(text: str) -> str | None:
    return next((line.strip()[:_TITLE_LENGTH] for line in text.splitlines() if line.strip()), None)


def _html(name: str, content: bytes) -> DocumentText:
    soup = BeautifulSoup(content, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for element in soup.find_all(_NO_TEXT):
        element.decompose()
    for element in soup.find_all(_BLOCKS):
        element.insert_before("\n")
        element.append("\n")
    for element in soup.find_all(["td", "th"]):
        element.append("\t")
    lines = (re.sub(r"[ \xa0\t]+", " ", line).strip() for line in soup.get_text().splitlines())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    lost = "some characters could not be decoded" if "\ufffd" in text else None
    return DocumentText(title[:_TITLE_LENGTH] or _first_line(text) or name, text, error=lost)


def _pdf(name: str, content: bytes) -> DocumentText:
    # A broken file makes the reader raise anything (KeyError, RecursionError, ...); none of it may end a sync.
    texts: list[str] = []
    try:
        reader = PdfReader(io.BytesIO(content))
        title = str((reader.metadata or {}).get("/Title") or "").strip()
        count = len(reader.pages)
        for page in reader.pages:
            texts.append(page.extract_text())
    except Exception as error:
        text = "\n\n".join(texts)
        said = " ".join(str(error).split())[:200]
        return DocumentText(name, text or None, error=f"not a readable PDF: {type(error).__name__}: {said}")
    text = "\n\n".join(texts).replace("\x00", "").encode("utf-8", "replace").decode()
    lost = None if text.strip() else "no page has text: scanned, perhaps" if count else "a PDF without pages"
    return DocumentText(title[:_TITLE_LENGTH] or _first_line(text) or name, text, count, lost)
