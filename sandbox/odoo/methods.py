"""What a client may call on a model: the public methods of the ORM, with their real signatures.

A method gets the `Call` (who, where, in which context) and the arguments as sent, so that a wrong argument fails as on
the server: with Python's own TypeError. Rows come back as ready JSON (`Encoded`), anything else as plain values.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.odoo import search as finder
from sandbox.odoo.domain import mentions
from sandbox.odoo.errors import access_error, missing, user_error
from sandbox.odoo.records import Records
from sandbox.odoo.schema import FAILING_FIELDS, UNEXPORTABLE_FIELDS
from sandbox.odoo.store import Row, Table
from sandbox.odoo.tenant import Tenant

_READ_ARGUMENTS = {"load"}


@dataclass
class Encoded:
    """A list of records as JSON text."""

    body: bytes
    rows: int


@dataclass
class Call:
    """One method call of one user on one model."""

    tenant: Tenant
    uid: int
    model: str
    context: dict[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        """The model's rows."""
        return self.tenant.database.tables[self.model]

    def demand(self, operation: str) -> None:
        """Raise AccessError unless the user has that right on the model."""
        self.tenant.access.demand(self.uid, self.model, operation)

    def check_field(self, table: Table, name: str) -> None:
        """Raise AccessError for a field kept for other groups."""
        self.tenant.access.demand_field(self.uid, table.name, name)

    def records(self) -> Records:
        """A transaction that starts now."""
        return Records(self.tenant.database, self.tenant.clock.stamp(), self.uid)

    def rule(self) -> list[Any]:
        """The record rule that applies."""
        return self.tenant.access.rule(self.uid, self.model)

    def visible(self, domain: list[Any]) -> list[Any]:
        """The domain as the user sees the model: archived rows hidden unless asked for, rules applied."""
        table = self.table
        if not isinstance(domain, list):
            domain = list(domain)
        hide = "active" in table.fields and self.context.get("active_test", True) and not mentions(domain, "active")
        extra = [*([("active", "=", True)] if hide else []), *self.rule()]
        if not extra:
            return domain
        finder.compile_domain(table, domain, self.check_field)  # errors are about the caller's domain, not ours
        return [*domain, *extra]

    def allowed(self, rows: list[Row]) -> None:
        """Raise AccessError if a record rule hides one of the rows."""
        test = finder.compile_domain(self.table, self.rule()).test
        if test is not None and not all(test(row) for row in rows):
            self.tenant.access.refuse_records(self.uid, self.model)

    def fields(self, names: list[str] | None) -> tuple[str, ...]:
        """The field list of a read, checked; none given means every readable field."""
        table, access = self.table, self.tenant.access
        if not names:
            left_out = UNEXPORTABLE_FIELDS.get(self.model, set())
            readable = [name for name in table.fields if name not in left_out and name != "id"]
            return tuple(name for name in readable if access.forbids_field(self.uid, self.model, name) is None)
        for name in names:
            if name not in table.fields:
                raise ValueError(f"Invalid field {name!r} on model {self.model!r}")
            access.demand_field(self.uid, self.model, name)
        return tuple(dict.fromkeys(name for name in names if name != "id"))

    def encode(self, rows: list[Row], names: list[str] | None, load: Any) -> Encoded:
        """Rows as JSON."""
        fields = self.fields(names)
        if rows:
            for name in fields:
                if (kind := FAILING_FIELDS.get((self.model, name))) is not None:
                    _fail_computing(kind, self.table, rows)
        view = self.table.views.get(fields, load == "_classic_read")
        return Encoded(b"[" + b",".join(view.render(rows)) + b"]", len(rows))


def _fail_computing(kind: str, table: Table, rows: list[Row]) -> None:
    if kind == "graph":
        for row in rows:
            if not table.value(row, "use_opportunities"):
                raise user_error(f"Undefined graph model for Sales Team: {table.value(row, 'name')}")
    else:
        raise TypeError("keys must be str, int, float, bool or None, not frozendict")


def _read_options(options: dict[str, Any]) -> Any:
    for name in options:
        if name not in _READ_ARGUMENTS:
            raise TypeError(f"BaseModel._read_format() got an unexpected keyword argument {name!r}")
    return options.get("load", "_classic_read")


def _id_list(ids: Any) -> list[int]:
    return [ids] if isinstance(ids, int) else list(ids or ())


# -- reading -----------------------------------------------------------------------------------------------------------


def search(
    call: Call, domain: Any = (), offset: int = 0, limit: int | None = None, order: str | None = None
) -> list[int]:
    """Ids of the matching records."""
    return [row[0] for row in _find(call, domain, offset, limit, order)]


def search_read(
    call: Call,
    domain: Any = None,
    fields: list[str] | None = None,
    offset: int = 0,
    limit: int | None = None,
    order: str | None = None,
    **read_kwargs: Any,
) -> Encoded:
    """The matching records."""
    load = _read_options(read_kwargs)
    rows = _find(call, domain or [], offset, limit, order)
    return call.encode(rows, fields, load)


def search_count(call: Call, domain: Any = (), limit: int | None = None) -> int:
    """How many records match."""
    call.demand("read")
    return finder.count(call.table, call.visible(list(domain)), limit, call.check_field)


def read(call: Call, ids: Any, fields: list[str] | None = None, load: str | None = "_classic_read") -> Encoded:
    """Those of the records that exist. Asking for nothing but `id` never looks: deleted ids come back as ghosts."""
    call.demand("read")
    wanted = _id_list(ids)
    if fields == ["id"]:
        return Encoded(b"[" + b",".join(b'{"id":%d}' % i for i in wanted) + b"]", len(wanted))
    rows = call.table.pick(dict.fromkeys(wanted))
    call.allowed(rows)
    return call.encode(rows, fields, load)


def fields_get(call: Call, allfields: list[str] | None = None, attributes: list[str] | None = None) -> dict[str, Any]:
    """The fields this user may see. Needs no right to the model itself, as recorded."""
    access = call.tenant.access
    return {
        name: known.attributes
        if attributes is None
        else {k: known.attributes[k] for k in attributes if k in known.attributes}
        for name, known in call.table.fields.items()
        if (not allfields or name in allfields) and access.forbids_field(call.uid, call.model, name) is None
    }


def name_search(
    call: Call, name: str = "", args: Any = None, operator: str = "ilike", limit: int | None = 100
) -> list[list[Any]]:
    """`[id, label]` of records whose label matches."""
    domain = [*(args or []), ["display_name", operator, name]] if name else list(args or [])
    return [[row[0], call.table.labels.text(row)] for row in _find(call, domain, 0, limit, None)]


def name_get(call: Call, ids: Any) -> list[list[Any]]:
    """`[id, label]` of the given records."""
    call.demand("read")
    rows = [_existing(call, record_id) for record_id in _id_list(ids)]
    return [[row[0], call.table.labels.text(row)] for row in rows]


def exists(call: Call, ids: Any) -> list[int]:
    """Those of the ids that still exist."""
    return [row[0] for row in call.table.pick(_id_list(ids))]


def get_metadata(call: Call, ids: Any) -> list[dict[str, Any]]:
    """Who made and last changed the records."""
    call.demand("read")
    table, users = call.table, call.tenant.database["res.users"]
    return [
        {
            "id": row[0],
            "create_uid": users.labels[table.value(row, "create_uid")],
            "create_date": (table.value(row, "create_date") or "")[:19] or False,
            "write_uid": users.labels[table.value(row, "write_uid")],
            "write_date": (table.value(row, "write_date") or "")[:19] or False,
            "xmlid": False,
            "xmlids": [],
            "noupdate": False,
        }
        for row in table.pick(_id_list(ids))
    ]


def check_access_rights(call: Call, operation: str, raise_exception: bool = True) -> bool:
    """Whether the user has that right on the model."""
    if raise_exception:
        call.demand(operation)
    return call.tenant.access.allows(call.uid, call.model, operation)


def has_access(call: Call, ids: Any = None, operation: str = "read") -> bool:
    """What 18 and later have instead of `check_access_rights`."""
    return call.tenant.access.allows(call.uid, call.model, ids if isinstance(ids, str) else operation)


def context_get(call: Call) -> dict[str, Any]:
    """The user's default context."""
    if call.model != "res.users":
        raise _unknown(call, "context_get")
    return {"lang": "en_US", "tz": "Europe/Berlin", "uid": call.uid}


def default_get(call: Call, fields_list: list[str]) -> dict[str, Any]:
    """Default values of a new record."""
    from sandbox.odoo import computes

    found = computes.defaults(call.records(), call.table, {})
    return {name: value for name, value in found.items() if name in fields_list}


# -- writing -----------------------------------------------------------------------------------------------------------


def create(call: Call, vals_list: Any = None, vals: Any = None) -> int | list[int]:
    """New records: an id for one dict, ids for a list."""
    call.demand("create")
    given = vals if vals_list is None else vals_list
    records = call.records()
    if isinstance(given, list):
        return [records.create(call.model, values) for values in given]
    return records.create(call.model, given or {})


def write(call: Call, ids: Any, vals: dict[str, Any]) -> bool:
    """Change records, all in one transaction: they share a write_date."""
    call.demand("write")
    wanted = _id_list(ids)
    call.allowed([_existing(call, record_id) for record_id in wanted])
    call.records().write(call.model, wanted, vals)
    return True


def unlink(call: Call, ids: Any) -> bool:
    """Delete records."""
    call.demand("unlink")
    wanted = _id_list(ids)
    call.allowed([_existing(call, record_id) for record_id in wanted])
    call.records().unlink(call.model, wanted)
    return True


def copy(call: Call, ids: Any, default: dict[str, Any] | None = None) -> int:
    """A copy of one record."""
    call.demand("create")
    row, table = _existing(call, _id_list(ids)[0]), call.table
    skipped = {"id", "create_date", "create_uid", "write_date", "write_uid"}
    kept = {
        name: row[slot]
        for name, slot in table.slots.items()
        if name not in skipped and table.fields[name].type != "one2many" and row[slot] is not None
    }
    if isinstance(kept.get("name"), str):
        kept["name"] = f"{kept['name']} (copy)"
    return call.records().create(call.model, kept | (default or {}))


def action_archive(call: Call, ids: Any) -> None:
    """Archive records. Returns None, so the reply has no `result`."""
    _set_active(call, ids, False)


def action_unarchive(call: Call, ids: Any) -> None:
    """Bring archived records back."""
    _set_active(call, ids, True)


def _set_active(call: Call, ids: Any, active: bool) -> None:
    call.demand("write")
    table = call.table
    wanted = [row[0] for row in table.pick(_id_list(ids)) if bool(table.value(row, "active")) is not active]
    call.records().write(call.model, wanted, {"active": active})


# -- finding and calling -------------------------------------------------------------------------------------------------


def _find(call: Call, domain: Any, offset: int, limit: int | None, order: str | None) -> list[Row]:
    call.demand("read")
    return finder.search(call.table, call.visible(list(domain)), order, offset, limit, call.check_field)


def _existing(call: Call, record_id: int) -> Row:
    row = call.table.rows.get(record_id)
    if row is None:
        raise missing(call.model, record_id, call.uid)
    return row


def _unknown(call: Call, method: str) -> AttributeError:
    return AttributeError(f"The method {method!r} does not exist on the model {call.model!r}")


MODEL_METHODS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        search, search_read, search_count, fields_get, name_search, check_access_rights, context_get, default_get, create,
    )
}  # fmt: skip
"""Methods that work on the model (`@api.model`)."""

RECORD_METHODS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        read, name_get, exists, get_metadata, write, unlink, copy, action_archive, action_unarchive, has_access,
    )
}  # fmt: skip
"""Methods that work on records: the first argument is a list of ids."""


def invoke(call: Call, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a method as `execute_kw` does."""
    if call.model not in call.tenant.database.tables:
        raise user_error(f"Object {call.model} doesn't exist")
    if method.startswith("_"):
        raise access_error(f"Private methods (such as {method}) cannot be called remotely.")
    function = MODEL_METHODS.get(method) or RECORD_METHODS.get(method)
    if function is None:
        raise _unknown(call, method)
    options = dict(kwargs)
    call.context = options.pop("context", None) or {}
    return function(call, *args, **options)
