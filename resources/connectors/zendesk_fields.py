"""Which columns each Zendesk table has: the documented ones, and of tickets the account's own custom fields under readable names.

Zendesk describes no table but the custom fields. What belongs here: names and types. What does not: reading (`zendesk_exports`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lake_config.settings import TableOptions
from resources.connectors.base import Column, ColumnType
from resources.connectors.column_names import snake_case

_TYPES: dict[str, ColumnType] = {
    "id": "integer", "int": "integer", "ids": "references", "text": "text", "texts": "texts", "bool": "boolean",
    "time": "timestamp", "json": "json",
}  # fmt: skip
"""The words of the lists below, in the lake's."""

_TICKETS = """
    id:id url:text external_id:text via:json created_at:time updated_at:time generated_timestamp:int type:text subject:text
    raw_subject:text description:text priority:text status:text recipient:text requester_id:id>users submitter_id:id>users
    assignee_id:id>users organization_id:id>organizations group_id:id>groups collaborator_ids:ids follower_ids:ids
    email_cc_ids:ids forum_topic_id:id problem_id:id>tickets has_incidents:bool is_public:bool due_at:time
    tags:texts custom_fields:json
    satisfaction_rating:json sharing_agreement_ids:ids custom_status_id:id encoded_id:text fields:json followup_ids:ids
    ticket_form_id:id>ticket_forms brand_id:id allow_channelback:bool allow_attachments:bool from_messaging_channel:bool
"""
_USERS = """
    id:id url:text name:text email:text created_at:time updated_at:time time_zone:text iana_time_zone:text phone:text
    shared_phone_number:bool photo:json locale_id:id locale:text organization_id:id>organizations role:text verified:bool
    external_id:text tags:texts alias:text active:bool shared:bool shared_agent:bool last_login_at:time
    two_factor_auth_enabled:bool signature:text details:text notes:text role_type:int custom_role_id:id moderator:bool
    ticket_restriction:text only_private_comments:bool restricted_agent:bool suspended:bool default_group_id:id>groups
    report_csv:bool permanently_deleted:bool user_fields:json
"""
_ORGANIZATIONS = """
    id:id url:text name:text shared_tickets:bool shared_comments:bool external_id:text created_at:time updated_at:time
    domain_names:texts details:text notes:text group_id:id>groups tags:texts organization_fields:json deleted_at:time
"""
_GROUPS = """
    id:id url:text is_public:bool name:text description:text default:bool deleted:bool created_at:time updated_at:time
"""
_TICKET_FIELDS = """
    id:id url:text type:text title:text raw_title:text description:text raw_description:text position:int active:bool
    required:bool collapsed_for_agents:bool regexp_for_validation:text title_in_portal:text raw_title_in_portal:text
    visible_in_portal:bool
    editable_in_portal:bool required_in_portal:bool tag:text created_at:time updated_at:time removable:bool key:text
    agent_description:text custom_field_options:json system_field_options:json sub_type_id:int relationship_target_type:text
    custom_statuses:json
"""
_TICKET_FORMS = """
    id:id url:text name:text raw_name:text display_name:text raw_display_name:text end_user_visible:bool position:int active:bool
    default:bool ticket_field_ids:ids in_all_brands:bool restricted_brand_ids:ids agent_conditions:json end_user_conditions:json
    created_at:time updated_at:time
"""
_TICKET_METRIC_EVENTS = """
    id:id ticket_id:id>tickets metric:text instance_id:int type:text time:time deleted:bool status:json sla:json group_sla:json
"""


def _columns(text: str) -> dict[str, Column]:
    columns = {}
    for entry in text.split():
        name, _, kind = entry.partition(":")
        kind, _, relation = kind.partition(">")
        columns[name] = Column(name, _TYPES[kind], kind, relation=relation or None)
    return columns


BUILT_IN: dict[str, dict[str, Column]] = {
    "tickets": _columns(_TICKETS),
    "users": _columns(_USERS),
    "organizations": _columns(_ORGANIZATIONS),
    "groups": _columns(_GROUPS),
    "ticket_fields": _columns(_TICKET_FIELDS),
    "ticket_forms": _columns(_TICKET_FORMS),
    "ticket_metric_events": _columns(_TICKET_METRIC_EVENTS),
}
"""Table -> name -> column, as documented and recorded."""

SYSTEM_TYPES = frozenset(
    [
        "subject",
        "description",
        "status",
        "tickettype",
        "priority",
        "basic_priority",
        "group",
        "assignee",
        "custom_status",
    ]
)
"""Ticket fields that are members of a ticket itself, and not among its custom fields."""

CUSTOM_TYPES: dict[str, ColumnType] = {
    "checkbox": "boolean", "date": "date", "integer": "integer", "decimal": "double", "multiselect": "texts",
}  # fmt: skip
"""Type of a custom field -> column's; every other one (text, textarea, regexp, tagger, partialcreditcard, lookup, and what
Zendesk will think of) is text."""


def custom_columns(fields: Iterable[Mapping[str, Any]]) -> list[Column]:
    """A column for each custom field of tickets.

    Its name is the field's title in snake_case. A title that several fields have, that a ticket's own column has or that has no
    letters gets the field's id behind it, so that no name depends on the order of the list.

    Parameters:
        fields: as `/ticket_fields.json` lists them.
    """
    custom = [field for field in fields if field.get("type") not in SYSTEM_TYPES]
    names = [snake_case(field.get("title") or "") for field in custom]
    shared = Counter(names)
    columns = []
    for field, name in zip(custom, names, strict=True):
        if not name or shared[name] > 1 or name in BUILT_IN["tickets"]:
            name = f"{name or 'field'}_{field['id']}"
        kind = str(field.get("type"))
        columns.append(
            Column(
                name,
                CUSTOM_TYPES.get(kind, "text"),
                kind,
                field.get("title") or "",
                field.get("relationship_target_type"),
                path=("custom_fields", f"id={field['id']}", "value"),
                options=_options(field),
            )
        )
    return columns


def _options(field: Mapping[str, Any]) -> dict[str, str] | None:
    """Value -> label of a drop-down or multi-select; an option without a label stays a value."""
    options = {
        option["value"]: option["name"]
        for option in field.get("custom_field_options") or ()
        if option.get("value") and option.get("name")
    }
    return options or None


@dataclass(frozen=True)
class Choice:
    """What `include` and `exclude` of a table leave of its records.

    `keep`: only these members (None: all), `drop`: not these, `without`: ids of custom fields whose values are taken out.
    """

    keep: frozenset[str] | None = None
    drop: frozenset[str] = frozenset()
    without: frozenset[int] = frozenset()

    def apply(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record as the lake may have it."""
        left = {
            name: value
            for name, value in record.items()
            if name not in self.drop and (self.keep is None or name in self.keep)
        }
        for name in ("custom_fields", "fields") if self.without else ():
            if isinstance(values := left.get(name), list):
                left[name] = [value for value in values if value.get("id") not in self.without]
        return left


def chosen(
    columns: list[Column], options: TableOptions | None, always: Collection[str]
) -> tuple[list[Column], Choice | None]:
    """The columns that configuration leaves, and what to take out of the records for it (None: nothing).

    Parameters:
        always: names that are kept whatever it says. Custom fields go by their readable names, all of them by `custom_fields`.

    Raises:
        KeyError: configuration names what is not there; its arguments are the option (`include`) and the list of names.
    """
    if options is None or (options.include is None and not options.exclude):
        return columns, None
    custom = {column.name: int(column.path[1].removeprefix("id=")) for column in columns if column.path}
    names = {column.name for column in columns}
    include, exclude = _widened(options.include, custom), _widened(options.exclude, custom) or set()
    for option, given in (("include", include or set()), ("exclude", exclude)):
        if unknown := sorted(given - names - {"custom_fields"}):
            raise KeyError(option, unknown)
    wanted = ((names if include is None else include) - exclude) | set(always)
    without = frozenset(number for name, number in custom.items() if name not in wanted)
    all_gone = {"custom_fields", "fields"} if custom and len(without) == len(custom) else set()
    if include is not None:
        keep = frozenset({*wanted, *(() if all_gone else ("custom_fields",))})
        return [column for column in columns if column.name in wanted], Choice(keep, without=without)
    left = [column for column in columns if column.name in wanted]
    return left, Choice(None, frozenset((exclude | all_gone) - set(always)), without)


def _widened(names: Collection[str] | None, custom: Mapping[str, int]) -> set[str] | None:
    return None if names is None else {*names, *(custom if "custom_fields" in names else ())}
