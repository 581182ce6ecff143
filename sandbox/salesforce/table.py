"""One object of the org: its fields, its records, and the texts in which they leave the server."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import orjson

from sandbox.collection import Collection, Record
from sandbox.salesforce.ids import make_id
from sandbox.salesforce.objects import COMPOUND, OBJECTS, Field, fields_of, label, snake

STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
_LISTS_KEPT = 4
"""So many column lists keep their records' texts."""
_PARTS = {"geocodeaccuracy": "geocodeAccuracy", "postalcode": "postalCode"}


class Table(Collection):
    """An object. Records are never changed in place, so whoever holds one holds it as it was."""

    def __init__(self, name: str) -> None:
        self.fields: dict[str, Field] = fields_of(name)
        self.prefix = OBJECTS[name][0]
        modified = next((stamp for stamp in STAMPS if stamp in self.fields), None)
        super().__init__(name, "Id", modified)
        self.entity = snake(name)
        self.has_bin = "IsDeleted" in self.fields
        self.visible = True
        self._last = 0
        self._lists: OrderedDict[Any, dict[str, tuple[Record, bytes]]] = OrderedDict()
        self._ids: list[str] | None = None
        self._by_lower = {name.lower(): name for name in self.fields}

    def new_id(self) -> str:
        """The next id."""
        self._last += 1
        return make_id(self.prefix, self._last)

    def complete(self, values: Record) -> Record:
        """A record with every field of the object, those not given empty."""
        record = {name: field.empty for name, field in self.fields.items() if field.type not in COMPOUND}
        return record | values

    def put(self, record: Record) -> None:
        """Insert a record, or replace the one of its id."""
        if record["Id"] not in self.rows:
            self._ids = None
        super().put(record)

    def remove(self, record_id: int | str) -> None:
        """Delete for good."""
        super().remove(record_id)
        self._ids = None
        for texts in self._lists.values():
            texts.pop(str(record_id), None)

    def ids(self) -> list[str]:
        """All ids, ascending."""
        if self._ids is None:
            self._ids = sorted(str(record_id) for record_id in self.rows)
        return self._ids

    def add_field(self, field: Field) -> None:
        """A new field, empty everywhere; no record's stamp moves."""
        self.fields[field.name] = field
        self._by_lower[field.name.lower()] = field.name
        if field.type not in COMPOUND:
            for record in self.rows.values():
                record.setdefault(field.name, field.empty)

    def remove_field(self, name: str) -> None:
        """A field that was deleted, or that the user may no longer see."""
        del self.fields[name]
        del self._by_lower[name.lower()]
        if name == self.modified_key:
            self.modified_key = next((stamp for stamp in STAMPS if stamp in self.fields), None)
            self._order = None

    def field(self, name: str) -> Field | None:
        """The field of this name, which SOQL writes in any case."""
        known = self._by_lower.get(name.lower())
        return self.fields[known] if known else None

    def describe(self, version: str, brief: bool = False) -> dict[str, Any]:
        """The object as `sobjects/` lists it, or with its fields."""
        root = f"/services/data/{version}/sobjects/{self.name}"
        custom = self.name.endswith(("__c", "__x"))
        said: dict[str, Any] = {
            "activateable": False, "createable": True, "custom": custom, "customSetting": False,
            "deletable": self.has_bin,
            "deprecatedAndHidden": False, "feedEnabled": False, "keyPrefix": self.prefix, "label": label(self.name),
            "labelPlural": f"{label(self.name)}s", "layoutable": True,
            "mergeable": self.name in ("Account", "Contact", "Lead"),
            "name": self.name, "queryable": True, "replicateable": self.modified_key == "SystemModstamp",
            "retrieveable": True,
            "searchable": True, "triggerable": True, "undeletable": self.has_bin, "updateable": True,
            "urls": {"sobject": root, "describe": f"{root}/describe", "rowTemplate": f"{root}/{{ID}}"},
        }  # fmt: skip
        return said if brief else said | {"fields": [field.describe() for field in self.fields.values()]}

    def texts(self, records: Sequence[Record], columns: tuple[str, ...], version: str) -> list[bytes]:
        """The records as JSON, `attributes` first, then `columns` in their order. Made once per record and column
        list."""
        key = (columns, version)
        if key not in self._lists:
            self._lists[key] = {}
            if len(self._lists) > _LISTS_KEPT:
                self._lists.popitem(last=False)
        self._lists.move_to_end(key)
        known = self._lists[key]
        write: Callable[[Record], bytes] | None = None
        answer = []
        for record in records:
            kept = known.get(record["Id"])
            if kept is None or kept[0] is not record:
                write = write or self._writer(columns, version)
                kept = known[record["Id"]] = (record, write(record))
            answer.append(kept[1])
        return answer

    def _writer(self, columns: tuple[str, ...], version: str) -> Callable[[Record], bytes]:
        root = f"/services/data/{version}/sobjects/{self.name}/"
        compounds = {name: self._parts(name) for name in columns if self.fields[name].type in COMPOUND}
        bodies = [name for name in columns if self.fields[name].type == "base64"]
        plain = [name for name in columns if name not in compounds]
        values = itemgetter(*plain) if len(plain) > 1 else lambda record: (record[plain[0]],) if plain else ()
        numbers = [name for name in plain if self.fields[name].type in ("double", "currency", "percent")]

        def write(record: Record) -> bytes:
            said: dict[str, Any] = {"attributes": {"type": self.name, "url": root + record["Id"]}}
            said.update(zip(plain, values(record), strict=True))
            for name in numbers:
                value = said[name]
                if value is not None and (abs(value) >= 1e7 or 0 < abs(value) < 1e-3):
                    said[name] = orjson.Fragment(java_double(value))
            for name in bodies:
                said[name] = f"{root}{record['Id']}/{name}"
            if compounds:
                for name, parts in compounds.items():
                    compound = {part: record[source] for part, source in parts.items()}
                    said[name] = compound if any(value is not None for value in compound.values()) else None
                said = {"attributes": said["attributes"]} | {name: said[name] for name in columns}
            return orjson.dumps(said)

        return write

    def _parts(self, compound: str) -> dict[str, str]:
        """member of the compound's object -> the field that it comes from"""
        answer = {}
        for field in self.fields.values():
            if field.compound == compound and field.type not in COMPOUND:
                prefix = compound.removesuffix("Address")
                name = (
                    field.name.removesuffix("__s").split("__")[-1] if field.custom else field.name.removeprefix(prefix)
                )
                answer[_PARTS.get(name.lower(), name.lower())] = field.name
        return answer

    def with_value(self, field: str, value: str) -> None:
        """One more value of a picklist."""
        known = self.fields[field]
        self.fields[field] = replace(known, values=(*known.values, value))


def java_double(value: float) -> bytes:
    """A number as Java writes a double, and so Salesforce from ten million on: 2.412E7."""
    mantissa, exponent = f"{value:.17e}".split("e")
    for digits in range(1, 18):
        mantissa, exponent = f"{value:.{digits}e}".split("e")
        if float(f"{mantissa}e{exponent}") == value:
            break
    whole, _, rest = mantissa.partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}E{int(exponent)}".encode()
