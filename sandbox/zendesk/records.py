"""What single records of each object look like, key by key and in the order recorded; who fills them is `seed` and `living`."""

from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]

BASE_ID = 6_130_000_000_000
"""Ids of everything but tickets are beyond 2^31, as recorded."""
BRAND_ID = BASE_ID + 830_354_842
FORM_ID = BASE_ID + 830_344_474
STATUS_IDS = {
    "new": BASE_ID + 830_355_738, "open": BASE_ID + 892_426_138, "pending": BASE_ID + 892_426_266,
    "hold": BASE_ID + 892_426_394, "solved": BASE_ID + 892_426_522, "closed": BASE_ID + 892_426_522,
}  # fmt: skip


def iso(stamp: int) -> str:
    """Unix seconds as Zendesk writes moments."""
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ticket(base: str, record_id: int, created: int, updated: int, **values: Any) -> Record:
    """`base`: the address that the record's url starts with; moments in Unix seconds; `values` replace the defaults."""
    subject = values.get("subject")
    status = values.get("status", "new")
    record = {
        "url": f"{base}/tickets/{record_id}.json",
        "id": record_id,
        "external_id": None,
        "via": {"channel": "web", "source": {"from": {}, "to": {}, "rel": None}},
        "created_at": iso(created),
        "updated_at": iso(updated),
        "type": None,
        "subject": subject,
        "raw_subject": subject,
        "description": None,
        "priority": None,
        "status": status,
        "recipient": None,
        "requester_id": None,
        "submitter_id": values.get("requester_id"),
        "assignee_id": None,
        "organization_id": None,
        "group_id": None,
        "collaborator_ids": [],
        "follower_ids": [],
        "email_cc_ids": [],
        "forum_topic_id": None,
        "problem_id": None,
        "has_incidents": False,
        "is_public": True,
        "due_at": None,
        "tags": [],
        "custom_fields": [],
        "satisfaction_rating": None,
        "sharing_agreement_ids": [],
        "custom_status_id": STATUS_IDS.get(status),
        "fields": values.get("custom_fields", []),
        "followup_ids": [],
        "ticket_form_id": FORM_ID,
        "brand_id": BRAND_ID,
        "allow_channelback": False,
        "allow_attachments": True,
        "from_messaging_channel": False,
        "generated_timestamp": updated,
    }
    record.update(values)
    return record


def user(base: str, record_id: int, created: int, updated: int, **values: Any) -> Record:
    """A user as the export shows one."""
    record = {
        "id": record_id,
        "url": f"{base}/users/{record_id}.json",
        "name": None,
        "email": None,
        "created_at": iso(created),
        "updated_at": iso(updated),
        "time_zone": "Berlin",
        "iana_time_zone": "Europe/Berlin",
        "phone": None,
        "shared_phone_number": None,
        "photo": None,
        "locale_id": 1,
        "locale": "en-US",
        "organization_id": None,
        "role": "end-user",
        "verified": False,
        "external_id": None,
        "tags": [],
        "alias": None,
        "active": True,
        "shared": False,
        "shared_agent": False,
        "last_login_at": None,
        "two_factor_auth_enabled": None,
        "signature": None,
        "details": None,
        "notes": None,
        "role_type": None,
        "custom_role_id": None,
        "moderator": False,
        "ticket_restriction": "requested",
        "only_private_comments": False,
        "restricted_agent": True,
        "suspended": False,
        "default_group_id": None,
        "report_csv": False,
        "user_fields": {},
    }
    record.update(values)
    return record


def organization(base: str, record_id: int, created: int, updated: int, **values: Any) -> Record:
    """An organization as the export shows one, `deleted_at` included."""
    record = {
        "url": f"{base}/organizations/{record_id}.json",
        "id": record_id,
        "name": None,
        "shared_tickets": False,
        "shared_comments": False,
        "external_id": None,
        "created_at": iso(created),
        "updated_at": iso(updated),
        "domain_names": [],
        "details": None,
        "notes": None,
        "group_id": None,
        "tags": [],
        "organization_fields": {},
        "deleted_at": None,
    }
    record.update(values)
    return record


def group(base: str, record_id: int, created: int, updated: int, **values: Any) -> Record:
    """A group of agents."""
    record = {
        "url": f"{base}/groups/{record_id}.json",
        "id": record_id,
        "is_public": True,
        "name": None,
        "description": "",
        "default": False,
        "deleted": False,
        "created_at": iso(created),
        "updated_at": iso(updated),
    }
    record.update(values)
    return record


def ticket_field(base: str, record_id: int, created: int, updated: int, **values: Any) -> Record:
    """A system or custom field of tickets."""
    title = values.get("title")
    description = values.get("description", title)
    removable = values.get("removable", False)
    record = {
        "url": f"{base}/ticket_fields/{record_id}.json",
        "id": record_id,
        "type": "text",
        "title": title,
        "raw_title": title,
        "description": description,
        "raw_description": description,
        "position": 9999,
        "active": True,
        "required": False,
        "collapsed_for_agents": False,
        "regexp_for_validation": None,
        "title_in_portal": title,
        "raw_title_in_portal": title,
        "visible_in_portal": not removable,
        "editable_in_portal": not removable,
        "required_in_portal": False,
        "tag": None,
        "created_at": iso(created),
        "updated_at": iso(updated),
        "removable": False,
        "key": None,
        "agent_description": None,
    }
    record.update(values)
    return record


def ticket_form(base: str, record_id: int, created: int, updated: int, **values: Any) -> Record:
    """A form: which fields a kind of ticket has."""
    name = values.get("name")
    record = {
        "url": f"{base}/ticket_forms/{record_id}.json",
        "id": record_id,
        "name": name,
        "raw_name": name,
        "display_name": name,
        "raw_display_name": name,
        "end_user_visible": True,
        "position": 1,
        "active": True,
        "default": False,
        "ticket_field_ids": [],
        "in_all_brands": True,
        "restricted_brand_ids": [],
        "agent_conditions": [],
        "end_user_conditions": [],
        "created_at": iso(created),
        "updated_at": iso(updated),
    }
    record.update(values)
    return record


def metric_event(record_id: int, ticket_id: int, metric: str, kind: str, moment: int, instance: int = 1) -> Record:
    """What happened to a metric of a ticket; `kind`: activate, pause, fulfill, update_status, measure, breach."""
    record = {
        "id": record_id, "ticket_id": ticket_id, "metric": metric, "instance_id": instance, "type": kind,
        "time": iso(moment),
    }  # fmt: skip
    if kind == "update_status":
        record["status"] = {"calendar": 60, "business": 40}
    return record
