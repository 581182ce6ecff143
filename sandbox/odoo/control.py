"""What tests may do to an Odoo database besides calling it: look at the truth, take rights away, hold transactions
back, write behind the ORM's back, change the schema.
"""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from sandbox.context import Context
from sandbox.odoo.records import Records, to_stored
from sandbox.odoo.schema import NUMERIC, X2MANY, field
from sandbox.odoo.store import Row, Table
from sandbox.odoo.tenant import Held, Tenant
from sandbox.odoo.views import dumps

_CHUNK = 2000


class OdooControl:
    """Control endpoints of the Odoo databases."""

    def __init__(self, context: Context, tenants: dict[str, Tenant]) -> None:
        self.context, self.tenants = context, tenants

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/_sandbox/truth/odoo/{database}/{model}", self.truth),
            Route("/_sandbox/truth/odoo/{database}/{model}/ids", self.ids),
            Route("/_sandbox/rights", self.rights, methods=["POST"]),
            Route("/_sandbox/transaction", self.transaction, methods=["POST"]),
            Route("/_sandbox/odoo/{database}/write", self.write, methods=["POST"]),
            Route("/_sandbox/odoo/{database}/create", self.create, methods=["POST"]),
            Route("/_sandbox/odoo/{database}/unlink", self.unlink, methods=["POST"]),
            Route("/_sandbox/odoo/{database}/field", self.field, methods=["POST"]),
        ]

    def _table(self, request: Request, model: str | None = None) -> tuple[Tenant, Table]:
        tenant = self.tenants[request.path_params["database"]]
        tenant.settle()
        return tenant, tenant.database.tables[model or request.path_params["model"]]

    # -- truth -------------------------------------------------------------------------------------------------------

    async def truth(self, request: Request) -> Response:
        """All rows as stored: NULL is null, many2one the bare id, moments with microseconds, archived rows included."""
        _, table = self._table(request)
        wanted = request.query_params.get("fields")
        names = (
            [name for name in wanted.split(",") if name != "id"] if wanted else [n for n in table.slots if n != "id"]
        )
        slots = [(name, table.slots[name]) for name in names]

        async def body() -> AsyncIterator[bytes]:
            yield dumps({"model": table.name, "count": len(table.ids)})[:-1] + b',"records":['
            ids = list(table.ids)
            for begin in range(0, len(ids), _CHUNK):
                rows = table.pick(ids[begin : begin + _CHUNK])
                text = b",".join(dumps({"id": row[0]} | {name: row[slot] for name, slot in slots}) for row in rows)
                yield (b"," if begin else b"") + text
            yield b"]}"

        return StreamingResponse(body(), media_type="application/json")

    async def ids(self, request: Request) -> Response:
        """All ids, ascending."""
        _, table = self._table(request)
        return _json({"model": table.name, "count": len(table.ids), "ids": table.ids})

    # -- rights ------------------------------------------------------------------------------------------------------

    async def rights(self, request: Request) -> Response:
        """`{"database", "login", "model", "allow": bool}` and/or `"domain": [...]` as a record rule ([] removes it)."""
        body = await request.json()
        access = self.tenants[body["database"]].access
        access.set_rights(body["login"], body["model"], body.get("allow"), body.get("domain"))
        return _json({"ok": True})

    # -- transactions ------------------------------------------------------------------------------------------------

    async def transaction(self, request: Request) -> Response:
        """A write that begins now and commits `hold_seconds` (or `commit_after_s`) later, stamped with its beginning.

        With `id` the record is written, without a new one is created (its id is taken from the sequence now).
        """
        body = await request.json()
        tenant = self.tenants[body["database"]]
        tenant.settle()
        table = tenant.database.tables[body["model"]]
        started = tenant.clock.stamp()
        hold = float(body.get("hold_seconds") or body.get("commit_after_s") or 0)
        record_id = body.get("id")
        values = body.get("values") or {}
        created = record_id is None
        if created:
            record_id, table.next_id = table.next_id, table.next_id + 1

        def commit() -> None:
            records = Records(tenant.database, started)
            if created:
                records.create(table.name, values | {"id": record_id})
            else:
                records.write(table.name, [record_id], values)

        commits_at = tenant.clock.now() + timedelta(seconds=hold)
        tenant.held.append(Held(commits_at, commit))
        return _json({"id": record_id, "write_date": started, "commits_at": commits_at.isoformat()})

    # -- writing directly --------------------------------------------------------------------------------------------

    async def write(self, request: Request) -> Response:
        """`{"model", "ids", "values", "sql": bool}`: an ORM write as admin, or, `sql`, an UPDATE that stamps nothing.

        `sql` takes any value in stored form: null write_date, NaN, integers of any size, lone surrogates.
        """
        body = json.loads(await request.body())
        tenant, table = self._table(request, body["model"])
        if body.get("sql"):
            for record_id in body["ids"]:
                table.update(record_id, {name: _raw(table, name, value) for name, value in body["values"].items()})
        else:
            Records(tenant.database, tenant.clock.stamp()).write(table.name, body["ids"], body["values"])
        return _json({"ids": body["ids"]})

    async def create(self, request: Request) -> Response:
        """`{"model", "values": {...} | [{...}]}`: create as admin; a list is one transaction and shares a write_date."""
        body = json.loads(await request.body())
        tenant, table = self._table(request, body["model"])
        records = Records(tenant.database, tenant.clock.stamp())
        given = body["values"] if isinstance(body["values"], list) else [body["values"]]
        return _json({"ids": [records.create(table.name, values) for values in given]})

    async def unlink(self, request: Request) -> Response:
        """`{"model", "ids"}`: delete as admin."""
        body = await request.json()
        tenant, table = self._table(request, body["model"])
        Records(tenant.database, tenant.clock.stamp()).unlink(table.name, body["ids"])
        return _json({"ids": body["ids"]})

    # -- schema drift ------------------------------------------------------------------------------------------------

    async def field(self, request: Request) -> Response:
        """`{"model", "name", "action": "add" | "remove" | "retype", "type", "string", "relation", "value"}`."""
        body = await request.json()
        _, table = self._table(request, body["model"])
        name, action = body["name"], body["action"]
        more = {key: body[key] for key in ("selection", "required", "store") if key in body}
        if action == "remove":
            table.remove_field(name)
        elif action == "add":
            added = field(body["type"], body.get("string", name), body.get("relation", ""), **more)
            table.add_field(name, added, body.get("value"))
            table.views.clear()
        elif action == "retype":
            _retype(table, name, body["type"], more | ({"relation": body["relation"]} if "relation" in body else {}))
        else:
            raise ValueError(f"no action {action!r}")
        return _json({"fields": len(table.fields)})


def _raw(table: Table, name: str, value: Any) -> Any:
    """A value in stored form; what no column could hold is kept as it is."""
    known = table.fields[name]
    if known.type == "datetime" and isinstance(value, str):
        return to_stored(known, value)
    if known.type in X2MANY and isinstance(value, list):
        return tuple(value)
    return value


def _retype(table: Table, name: str, kind: str, more: dict[str, Any]) -> None:
    """Change a field's type and convert its values as far as they can be."""
    known = table.fields[name]
    known.attributes = {
        **{k: v for k, v in known.attributes.items() if k not in ("relation", "selection")},
        "type": kind,
        **more,
    }
    slot = known.slot
    if slot is not None:
        for row in table.rows.values():
            _convert(row, slot, kind)
    table.views.clear()


def _convert(row: Row, slot: int, kind: str) -> None:
    value = row[slot]
    if value is None:
        return
    try:
        if kind in NUMERIC:
            row[slot] = int(float(value)) if kind == "integer" else float(value)
        elif kind == "boolean":
            row[slot] = bool(value)
        else:
            row[slot] = str(value)
    except (TypeError, ValueError):
        row[slot] = None


def _json(value: Any) -> Response:
    return Response(dumps(value), media_type="application/json")
