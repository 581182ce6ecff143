"""Errors as the server words them.

An Odoo exception carries its qualified name; a plain Python exception becomes `builtins.<class>`, exactly as the real
server lets them through. Both travel as HTTP 200 with an `error` member (`json2` maps them to HTTP codes).
"""

from typing import Any

ACCESS_DENIED = "odoo.exceptions.AccessDenied"
ACCESS_ERROR = "odoo.exceptions.AccessError"
MISSING_ERROR = "odoo.exceptions.MissingError"
USER_ERROR = "odoo.exceptions.UserError"
VALIDATION_ERROR = "odoo.exceptions.ValidationError"


class ServerError(Exception):
    """An exception of the server with its qualified name, e.g. `psycopg2.OperationalError`."""

    def __init__(self, name: str, message: str, code: int = 200, title: str = "Odoo Server Error") -> None:
        super().__init__(message)
        self.name, self.code, self.title = name, code, title


def access_denied(message: str = "Access Denied") -> ServerError:
    """Wrong login or password."""
    return ServerError(ACCESS_DENIED, message)


def access_error(message: str) -> ServerError:
    """No right to the model, record or field."""
    return ServerError(ACCESS_ERROR, message)


def user_error(message: str) -> ServerError:
    """The server refuses, for a reason a user can read."""
    return ServerError(USER_ERROR, message)


def missing(model: str, record_id: int, uid: int) -> ServerError:
    """A record that is not there (any more)."""
    place = f"(Record: {model}({record_id},), User: {uid})"
    return ServerError(MISSING_ERROR, f"Record does not exist or has been deleted.\n{place}")


def required(model: str, description: str, name: str, label: str) -> ServerError:
    """A mandatory field without a value."""
    return ServerError(
        VALIDATION_ERROR,
        "The operation cannot be completed:\n- Create/update: a mandatory field is not set.\n"
        "- Delete: another model requires the record being deleted. If possible, archive it instead.\n\n"
        f"Model: {description} ({model})\nField: {label} ({name})\n",
    )


def unknown_database(name: str) -> ServerError:
    """The database named in a call does not exist."""
    where = 'connection to server at "127.0.0.1", port 5433 failed: '
    return ServerError("psycopg2.OperationalError", f'{where}FATAL:  database "{name}" does not exist\n')


def database_down() -> ServerError:
    """Postgres is away."""
    where = 'connection to server at "127.0.0.1", port 5433 failed: Connection refused'
    return ServerError(
        "psycopg2.OperationalError",
        f"{where}\n\tIs the server running on that host and accepting TCP/IP connections?\n",
    )


def session_expired() -> ServerError:
    """A web-client call without a session."""
    return ServerError("odoo.http.SessionExpiredException", "Session expired", 100, "Odoo Session Expired")


def data_error(kind: str, message: str) -> ServerError:
    """An error Postgres itself raises."""
    return ServerError(f"psycopg2.errors.{kind}", message)


def describe(error: Exception) -> dict[str, Any]:
    """The `error.data` object of an exception."""
    name = error.name if isinstance(error, ServerError) else f"builtins.{type(error).__name__}"
    message = "\n".join(str(part) for part in error.args)
    tail = f"{name.removeprefix('builtins.')}: {message}".strip()
    return {
        "name": name,
        "debug": f"Traceback (most recent call last):\n  ... server frames left out ...\n{tail}",
        "message": message,
        "arguments": list(error.args),
        "context": {},
    }


def envelope(error: Exception) -> dict[str, Any]:
    """The `error` member of a JSON-RPC answer."""
    code, title = (error.code, error.title) if isinstance(error, ServerError) else (200, "Odoo Server Error")
    return {"code": code, "message": title, "data": describe(error)}
