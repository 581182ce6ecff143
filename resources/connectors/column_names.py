"""A column's name from what people call a custom field."""

import re
import unicodedata

_ACCENTS = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")


def snake_case(label: str) -> str:
    """Letters and digits of any script in lower case, Latin ones without accents: `Größe (m²)` -> `grosse_m2`,
    `Бюджет` -> `бюджет`; empty if there are none."""
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", label).lower().replace("ß", "ss"))
    # Only of Latin letters: й without its breve is another letter.
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", apart))
    name = re.sub("_+", "_", "".join(letter if _stays(letter) else "_" for letter in plain)).strip("_")
    return f"field_{name}" if name[:1].isdigit() else name


def _stays(letter: str) -> bool:
    """Marks are what vowels are written with in many scripts."""
    return letter.isalnum() or unicodedata.category(letter).startswith("M")
