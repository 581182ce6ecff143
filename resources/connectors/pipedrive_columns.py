"""What Pipedrive's tables hold: standard fields with their types, and custom fields under readable names.

A custom field stands in a record under `custom_fields` and 40 hexadecimal digits; what it is called, its type and its
options' labels are in the fields' metadata. `raw_data` keeps the digits, `raw.*` shows the names. What belongs here:
metadata in, columns out. What does not: how the source is asked.
"""

from collections.abc import Iterable
from typing import Any

from resources.connectors.base import Column, ColumnType
from resources.connectors.column_names import snake_case

MOST_LETTERS = 60
"""Of a custom field's label in its column's name."""

Field = dict[str, Any]
"""A field as `/dealFields` and its like describe it."""

_STAMPS: dict[str, ColumnType] = {"add_time": "timestamp", "update_time": "timestamp"}
_SHARED: dict[str, ColumnType] = {
    "id": "integer", "owner_id": "integer", **_STAMPS, "is_deleted": "boolean", "visible_to": "integer",
    "label_ids": "references",
}  # fmt: skip
STANDARD: dict[str, dict[str, ColumnType]] = {
    "deals": {
        **_SHARED, "title": "text", "creator_user_id": "integer", "value": "double", "currency": "text",
        "person_id": "integer", "org_id": "integer", "pipeline_id": "integer", "stage_id": "integer",
        "stage_change_time": "timestamp", "archive_time": "timestamp", "status": "text", "is_archived": "boolean",
        "probability": "double", "lost_reason": "text", "close_time": "timestamp", "won_time": "timestamp",
        "lost_time": "timestamp", "local_won_date": "date", "local_lost_date": "date", "local_close_date": "date",
        "expected_close_date": "date", "origin": "text", "origin_id": "text", "channel": "integer", "channel_id": "text",
        "source_lead_id": "text", "acv": "double", "arr": "double", "mrr": "double",
    },
    "persons": {
        **_SHARED, "name": "text", "first_name": "text", "last_name": "text", "org_id": "integer", "emails": "json",
        "phones": "json", "picture_id": "integer", "notes": "text", "im": "json", "birthday": "date", "job_title": "text",
        "postal_address": "json",
    },
    "organizations": {
        **_SHARED, "name": "text", "address": "json", "website": "text", "linkedin": "text", "industry": "integer",
        "annual_revenue": "double", "employee_count": "integer",
    },
    "activities": {
        "id": "integer", "owner_id": "integer", **_STAMPS, "is_deleted": "boolean", "subject": "text", "type": "text",
        "creator_user_id": "integer", "deal_id": "integer", "lead_id": "text", "person_id": "integer", "org_id": "integer",
        "project_id": "integer", "due_date": "date", "due_time": "text", "duration": "text", "busy": "boolean",
        "done": "boolean", "marked_as_done_time": "timestamp", "location": "json", "participants": "json",
        "attendees": "json", "conference_meeting_client": "text", "conference_meeting_url": "text",
        "conference_meeting_id": "text", "public_description": "text", "priority": "integer", "outcome": "integer",
        "note": "text",
    },
    "products": {
        "id": "integer", "owner_id": "integer", **_STAMPS, "is_deleted": "boolean", "visible_to": "integer", "name": "text",
        "code": "text", "description": "text", "unit": "text", "tax": "double", "category": "text",
        "is_linkable": "boolean", "billing_frequency": "text", "billing_frequency_cycles": "integer", "prices": "json",
    },
    "pipelines": {
        "id": "integer", "name": "text", "order_nr": "integer", "is_deleted": "boolean",
        "is_deal_probability_enabled": "boolean", **_STAMPS,
    },
    "stages": {
        "id": "integer", "name": "text", "order_nr": "integer", "pipeline_id": "integer", "is_deleted": "boolean",
        "deal_probability": "integer", "is_deal_rot_enabled": "boolean", "days_to_rotten": "integer", **_STAMPS,
    },
    "users": {
        "id": "integer", "name": "text", "email": "text", "phone": "text", "default_currency": "text", "locale": "text",
        "lang": "integer", "activated": "boolean", "active_flag": "boolean", "is_admin": "boolean", "is_you": "boolean",
        "is_deleted": "boolean", "has_created_company": "boolean", "role_id": "integer", "timezone_name": "text",
        "timezone_offset": "text", "icon_url": "text", "access": "json", "last_login": "timestamp",
        "created": "timestamp", "modified": "timestamp",
    },
}  # fmt: skip
"""Table -> field -> type, by the vendor's OpenAPI description of v2 (users: v1)."""

FIELDS: dict[str, ColumnType] = {
    "field_code": "text", "field_name": "text", "field_type": "text", "description": "text", "options": "json",
    "subfields": "json", "is_custom_field": "boolean", "is_optional_response_field": "boolean", "ui_visibility": "json",
    "important_fields": "json", "required_fields": "json",
}  # fmt: skip
"""Of the tables of metadata."""

RELATIONS = {
    "owner_id": "users", "creator_user_id": "users", "person_id": "persons", "org_id": "organizations",
    "deal_id": "deals", "pipeline_id": "pipelines", "stage_id": "stages",
}  # fmt: skip

_TYPES: dict[str, ColumnType] = {
    "double": "double", "int": "integer", "date": "date", "enum": "text", "set": "texts", "user": "integer",
    "org": "integer", "people": "integer", "deal": "integer", "project": "integer", "boolean": "boolean",
}  # fmt: skip
"""Field type -> type of a value that stands alone; others are text."""

_PARTS: dict[str, dict[str, ColumnType]] = {
    "monetary": {"value": "double", "currency": "text"},
    "daterange": {"value": "date", "until": "date"},
    "time": {"value": "text", "timezone_name": "text"},
    "timerange": {"value": "text", "until": "text", "timezone_name": "text"},
    "address": dict.fromkeys(
        ("value", "street_number", "route", "sublocality", "locality", "admin_area_level_1", "admin_area_level_2", "country",
         "postal_code", "formatted_address"), "text",
    ),
}  # fmt: skip
"""Field types whose values have several parts; `value` shows under the field's own name, the others under `<name>_<part>`."""

_CUSTOM_RELATIONS = {"user": "users", "org": "organizations", "people": "persons"}


def columns_of(table: str, fields: Iterable[Field]) -> tuple[Column, ...]:
    """The columns of a table whose metadata is `fields`: standard ones, then custom ones in the order of the metadata."""
    known = {field["field_code"]: field for field in fields}
    columns = [standard_column(name, kind, known.get(name)) for name, kind in STANDARD[table].items()]
    taken = {column.name for column in columns}
    for code, field in known.items():
        if field.get("is_custom_field"):
            added = custom_columns(field, taken)
        elif code in STANDARD[table] or field.get("is_optional_response_field"):
            continue
        else:  # a standard field that is newer than this list
            added = [Column(code, "json", str(field.get("field_type")), str(field.get("field_name") or ""))]
        columns += added
        taken |= {column.name for column in added}
    return tuple(columns)


def standard_column(name: str, kind: ColumnType, field: Field | None = None) -> Column:
    """A field that every account has."""
    source_type = str(field.get("field_type")) if field else kind
    label = str(field.get("field_name") or "") if field else ""
    return Column(name, kind, source_type, label, RELATIONS.get(name))


def custom_columns(field: Field, taken: set[str]) -> list[Column]:
    """The columns of a custom field.

    Parameters:
        taken: names that are in use. A field of the same name gets the beginning of its code besides, so that the older one
            keeps its name.
    """
    code, kind, label = str(field["field_code"]), str(field.get("field_type")), str(field.get("field_name") or "")
    path, relation = ("custom_fields", code), _CUSTOM_RELATIONS.get(kind)
    parts = _PARTS.get(kind, {"value": _TYPES.get(kind, "text")})
    base = snake_case(label)[:MOST_LETTERS] or f"field_{code[:6]}"
    if taken & {_part_name(base, part) for part in parts}:
        base = f"{base}_{code[:6]}"
    if kind not in _PARTS:
        return [Column(base, parts["value"], kind, label, relation, path=path, options=_options(field), custom=True)]
    return [
        Column(_part_name(base, part), to, kind, label, path=(*path, part), custom=True) for part, to in parts.items()
    ]


def _part_name(base: str, part: str) -> str:
    return base if part == "value" else f"{base}_{part}"


def _options(field: Field) -> dict[str, str] | None:
    """Value as text -> label; None where values stand for themselves."""
    if field.get("field_type") not in ("enum", "set"):
        return None
    return {str(option["id"]): str(option["label"]) for option in field.get("options") or ()} or None
