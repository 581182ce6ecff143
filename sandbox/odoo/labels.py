"""What a record is called where another one points to it: the second half of `[id, "label"]`.

A label is computed from the target when first needed and kept until the target changes. The rows that show it do not
change (their write_date stays), only their cached JSON does.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.odoo.store import Row, Table


def _coded(table: "Table", row: "Row") -> str:
    code, name = table.value(row, "default_code"), table.value(row, "name")
    return f"[{code}] {name}" if code else str(name or "")


def _variant(table: "Table", row: "Row") -> str:
    template = table.database["product.template"]
    parent = template.rows.get(table.value(row, "product_tmpl_id"))
    code, name = table.value(row, "default_code"), template.value(parent, "name") if parent else ""
    return f"[{code}] {name}" if code else str(name or "")


def _state(table: "Table", row: "Row") -> str:
    country = table.database["res.country"]
    parent = country.rows.get(table.value(row, "country_id"))
    return f"{table.value(row, 'name')} ({country.value(parent, 'code') if parent else ''})"


def _account(table: "Table", row: "Row") -> str:
    return f"{table.value(row, 'code')} {table.value(row, 'name')}"


def _order_line(table: "Table", row: "Row") -> str:
    order = table.database["sale.order"].labels[table.value(row, "order_id")]
    return f"{order[1] if order else ''} - {str(table.value(row, 'name') or '').splitlines()[0]}"


def _pos_order_line(table: "Table", row: "Row") -> str:
    product = table.database["product.product"].labels[table.value(row, "product_id")]
    return product[1] if product else ""


def _till(table: "Table", row: "Row") -> str:
    users = table.database["res.users"]
    opener = users.labels[table.value(row, "create_uid")]
    return f"{table.value(row, 'name')} ({opener[1]})" if opener else str(table.value(row, "name"))


def _user(table: "Table", row: "Row") -> str:
    partner = table.database["res.partner"]
    parent = partner.rows.get(table.value(row, "partner_id"))
    return str(partner.value(parent, "name")) if parent else str(table.value(row, "login"))


_RULES: dict[str, tuple[Callable[["Table", "Row"], str], frozenset[str]]] = {
    "account.account": (_account, frozenset({"code", "name"})),
    "pos.config": (_till, frozenset({"name"})),
    "pos.order.line": (_pos_order_line, frozenset({"product_id"})),
    "product.product": (_variant, frozenset({"default_code", "product_tmpl_id"})),
    "product.template": (_coded, frozenset({"default_code", "name"})),
    "res.country.state": (_state, frozenset({"name", "country_id"})),
    "res.users": (_user, frozenset({"partner_id", "login"})),
    "sale.order.line": (_order_line, frozenset({"name", "order_id"})),
}
_DEPENDENTS = {"res.partner": ("res.users", "partner_id"), "product.template": ("product.product", "product_tmpl_id")}
"""Models whose label follows that of another, and through which field."""


class Labels(dict[int | None, Any]):
    """id -> `[id, label]`; None -> False. Fills itself."""

    def __init__(self, table: "Table") -> None:
        super().__init__()
        self.table = table
        column = next((name for name in ("complete_name", "name") if name in table.slots), "")
        self._rule, self._fields = _RULES.get(table.name, (None, frozenset({column} if column else ())))
        self._column = column

    def __missing__(self, record_id: int | None) -> Any:
        if record_id is None:
            self[None] = False
            return False
        row = self.table.rows.get(record_id)
        if row is None:  # dangling, or a model without rows here: named as Odoo names the nameless
            return [record_id, f"{self.table.name},{record_id}"]
        pair = self[record_id] = [record_id, self.text(row)]
        return pair

    def text(self, row: "Row") -> str:
        """The label of a row."""
        if self._rule is not None:
            return self._rule(self.table, row)
        if not self._column:
            return f"{self.table.name},{row[0]}"
        value = row[self.table.slots[self._column]]
        return value if value is not None else ""

    def changed(self, record_id: int, values: dict[str, Any] | None) -> None:
        """Forget the label of a record that was written (`values`) or deleted (None)."""
        if values is not None and not (self._fields & values.keys()) and not self._follows(values):
            return
        self._forget(record_id)
        dependent = _DEPENDENTS.get(self.table.name)
        if dependent is not None:
            model, field = dependent
            other = self.table.database.tables[model]
            slot = other.slots[field]
            for row in other.rows.values():
                if row[slot] == record_id:
                    other.labels._forget(row[0])

    def _follows(self, values: dict[str, Any]) -> bool:
        return self.table.name in _DEPENDENTS and "name" in values

    def _forget(self, record_id: int) -> None:
        self.pop(record_id, None)
        for table in self.table.database.tables.values():
            table.views.label_changed(self.table.name, record_id)
