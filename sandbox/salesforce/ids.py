"""Salesforce ids: 15 characters that count in base 62, and 3 that make them safe where case is lost."""

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def checked(id15: str) -> str:
    """The 18-character form: for each five characters one that tells which of them are upper case."""
    check = ""
    for begin in (0, 5, 10):
        bits = sum(1 << place for place, letter in enumerate(id15[begin : begin + 5]) if "A" <= letter <= "Z")
        check += _CHECK[bits]
    return id15 + check


def make_id(prefix: str, number: int) -> str:
    """The `number`-th id of an object with this key prefix; ids sort by number."""
    text = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        text = DIGITS[digit] + text
    return checked(f"{prefix}5g0000{text}")


def canonical(value: str) -> str:
    """Both forms of an id as the 18-character one; anything else as it is."""
    return checked(value) if len(value) == 15 and value.isalnum() else value
