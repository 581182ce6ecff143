"""What the server itself says, read as anybody would: unmodified odoorpc, classic reads, archived records included."""

from datetime import date, datetime
from typing import Any

import odoorpc
import odoorpc.error

from sandbox.server import Sandbox

Record = dict[str, Any]

UNREAD = ("binary",)
COMPUTED = {"pos.order": {"currency_id"}}
"""Fields that the lake reads although the server works them out."""
NEVER_EMPTY = ("boolean", "integer", "float", "monetary")


class Server:
    """One database, read by its administrator."""

    def __init__(self, sandbox: Sandbox, database: str) -> None:
        self._odoo = odoorpc.ODOO("127.0.0.1", port=sandbox.port)
        self._odoo.login(database, "admin", "admin")

    def fields(self, model: str) -> dict[str, str] | None:
        """Name -> Odoo's type, of the stored non-binary fields; None if there is no such model."""
        try:
            described = self._odoo.execute_kw(model, "fields_get", [], {"attributes": ["type", "store"]})
        except odoorpc.error.RPCError:
            return None
        return {
            name: field["type"]
            for name, field in described.items()
            if (field.get("store", True) or name in COMPUTED.get(model, ())) and field["type"] not in UNREAD
        }

    def records(self, model: str) -> dict[str, Record]:
        """Id as text -> record."""
        fields = sorted(self.fields(model) or {})
        options = {"fields": fields, "context": {"active_test": False}}
        return {str(record["id"]): record for record in self._odoo.execute_kw(model, "search_read", [[]], options)}


def typed(value: Any, odoo_type: str) -> Any:
    """What a value of the server means, as a typed column should have it; a reference is the related record's id."""
    if odoo_type in NEVER_EMPTY:
        return value
    if value is False:
        return None
    if odoo_type == "many2one":
        return value[0]
    if odoo_type == "date":
        return date.fromisoformat(value)
    return datetime.fromisoformat(value) if odoo_type == "datetime" else value


def label(reference: Any) -> str | None:
    return reference[1] if reference else None
