"""What Odoo's error answers mean to us, whichever protocol carried them.

Odoo names the Python class of what it raised (`error.data.name`, or `name` in JSON-2) and gives its message. A server's
traceback (`debug`) never gets into a message of ours.
"""

import re
from dataclasses import dataclass

from resources.connectors.base import MissingAtSource, NotPermitted, PermanentError
from resources.http_session import TryAgain
from resources.http_words import quoted

_PASSING = {
    "OperationalError",
    "InterfaceError",
    "SerializationFailure",
    "DeadlockDetected",
    "LockNotAvailable",
    "QueryCanceled",
    "AdminShutdown",
    "CrashShutdown",
    "CannotConnectNow",
    "TooManyConnections",
    "PoolError",
    "ConcurrencyError",
    "MemoryError",
}
"""Class names (without their module) of what passes: the database is away or overloaded, a transaction lost a race."""

_NO_DATABASE = re.compile(r'database "(.+?)" does not exist')
_NO_MODEL = re.compile(r"^Object (\S+) doesn't exist|[Tt]he model '?(\S+?)'? does not exist")
_NO_FIELD = re.compile(r"Invalid field")


class FieldGone(PermanentError):
    """A field that was asked for is not there any more, or not for this user."""


class NoSuchAddress(PermanentError):
    """The server answers, but not at this path."""


@dataclass(frozen=True)
class Place:
    """Where a request went, to say so in messages.

    Parameters:
        where: tenant, source and table in words.
        keys: the path of the source's block in `lake.yaml`.
        secret: the credential in use, cut out of whatever a server says.
    """

    where: str
    keys: str
    database: str
    secret: str = ""

    def quote(self, text: str) -> str:
        """A server's words, fit for one line of a message."""
        return quoted(text, (self.secret,))

    def no_such_model(self, model: str | None) -> MissingAtSource:
        return MissingAtSource(
            f"{self.where}: the server has no model {model}. Install the app it belongs to, or leave the table out in"
            f" {self.keys}.tables."
        )


def odoo_error(place: Place, model: str | None, name: str, message: str) -> Exception:
    """The exception to raise for an error that Odoo reported: a `SourceError`, or `TryAgain` for what passes.

    Parameters:
        model: the model that was asked, e.g. `crm.lead`; None for logins.
        name: the class name that Odoo reports, e.g. `odoo.exceptions.AccessError`.
    """
    where, keys, said = place.where, place.keys, place.quote(message)
    kind = name.rpartition(".")[2]
    if kind == "AccessDenied":
        return PermanentError(f"{where}: wrong user or password. Check {keys}.username and {keys}.password.")
    if kind == "AccessError":
        if "Fields:" in message:
            return FieldGone(f"{where}: the user may not read some of the fields: {said}")
        return NotPermitted(
            f"{where}: the user may not read it: {said} Give the user that right in Odoo, or leave the table out in"
            f" {keys}.tables."
        )
    if kind == "OperationalError" and (unknown := _NO_DATABASE.search(message)):
        return PermanentError(f"{where}: the server has no database {unknown.group(1)!r}. Check {keys}.database.")
    if kind in _PASSING:
        return TryAgain(f"Odoo reports {kind}: {said}")
    if _NO_MODEL.search(message) or (kind == "KeyError" and model is not None and message.strip("'\"") == model):
        return place.no_such_model(model)
    if kind in ("ValueError", "KeyError") and _NO_FIELD.search(message):
        return FieldGone(f"{where}: {said}")
    return PermanentError(
        f"{where}: Odoo could not answer: {place.quote(name)}: {said}. See the server's log for more."
    )
