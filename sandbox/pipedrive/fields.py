"""The fields of each object: the standard ones, and custom ones of every type with their values.

A custom field is known by 40 hexadecimal digits; its name and its options' labels are only in the metadata
(`/dealFields` ...).
"""

import hashlib
from datetime import date, timedelta
from random import Random
from typing import Any

from sandbox.collection import Record
from sandbox.world import World

ENTITIES = ("deals", "persons", "organizations", "products")
"""Objects with custom fields."""
TYPES = (
    "varchar", "varchar_auto", "text", "phone", "double", "int", "monetary", "date", "daterange", "time", "timerange", "enum",
    "set", "user", "org", "people", "address",
)  # fmt: skip
NAMES = {
    "deals": (
        "Reference", "Billing code", "Internal notes", "Hotline", "Discount %", "Seats", "Setup fee", "Contract start",
        "Service period", "Call at", "Support hours", "Lead source", "Modules", "Account manager", "Reseller", "Champion",
        "Site address",
    ),
    "persons": (
        "Nickname", "Loyalty number", "Hobbies", "Mobile (private)", "Score", "Visits", "Credit", "Member since", "Holidays",
        "Best time to call", "Reachable", "Preferred language", "Newsletter topics", "Trainer", "Former employer", "Manager",
        "Home address",
    ),
    "organizations": (
        "VAT number", "Debtor number", "Remarks", "Switchboard", "Rating", "Branches", "Credit limit", "Customer since",
        "Frame contract", "Opens", "Opening hours", "Segment", "Channels", "Key account manager", "Parent company",
        "Decision maker", "Billing address",
    ),
    "products": (
        "Supplier code", "Serial prefix", "Care instructions", "Support phone", "Weight (kg)", "Box size", "Shipping cost",
        "Available from", "Season", "Cut-off time", "Class hours", "Colour", "Markets", "Product owner", "Supplier",
        "Contact", "Warehouse",
    ),
}  # fmt: skip
"""Names of the custom fields, in the order of `TYPES`."""
MORE = {"deals": (("Value", "varchar"), ("Größe (m²)", "double"), ("Reference", "text"))}
"""More of the same types, with names that another field has already or that are no identifiers."""
LABELS = {
    "Lead source": ("Inbound", "Outbound", "Partner", "Messe"), "Modules": ("Booking", "Check-in", "Kasse", "App"),
    "Preferred language": ("Deutsch", "English", "Français"), "Newsletter topics": ("Offers", "Events", "Nutrition"),
    "Segment": ("A", "B", "C"), "Channels": ("Web", "Phone", "Shop"), "Colour": ("Black", "White", "Grün"),
    "Markets": ("DACH", "UK", "US"),
}  # fmt: skip
STANDARD = {
    "deals": {
        "id": "int", "title": "varchar", "creator_user_id": "user", "owner_id": "user", "value": "monetary",
        "currency": "varchar", "person_id": "people", "org_id": "org", "pipeline_id": "int", "stage_id": "stage",
        "add_time": "date", "update_time": "date", "stage_change_time": "date", "archive_time": "date", "status": "status",
        "is_archived": "boolean", "is_deleted": "boolean", "probability": "int", "lost_reason": "varchar_options",
        "visible_to": "visible_to", "close_time": "date", "won_time": "date", "lost_time": "date", "local_won_date": "date",
        "local_lost_date": "date", "local_close_date": "date", "expected_close_date": "date", "label_ids": "set",
        "origin": "varchar", "origin_id": "varchar", "channel": "enum", "channel_id": "varchar", "source_lead_id": "varchar",
        "acv": "double", "arr": "double", "mrr": "double",
    },
    "persons": {
        "id": "int", "name": "varchar", "first_name": "varchar", "last_name": "varchar", "owner_id": "user", "org_id": "org",
        "add_time": "date", "update_time": "date", "emails": "varchar", "phones": "phone", "is_deleted": "boolean",
        "visible_to": "visible_to", "label_ids": "set", "picture_id": "picture",
    },
    "organizations": {
        "id": "int", "name": "varchar", "owner_id": "user", "add_time": "date", "update_time": "date", "address": "address",
        "is_deleted": "boolean", "visible_to": "visible_to", "label_ids": "set", "website": "varchar", "linkedin": "varchar",
        "industry": "enum", "annual_revenue": "double", "employee_count": "int",
    },
    "activities": {
        "id": "int", "subject": "varchar", "type": "enum", "owner_id": "user", "creator_user_id": "user",
        "is_deleted": "boolean", "add_time": "date", "update_time": "date", "deal_id": "deal", "lead_id": "lead",
        "person_id": "people", "org_id": "org", "project_id": "project", "due_date": "date", "due_time": "time",
        "duration": "time", "busy": "boolean", "done": "boolean", "marked_as_done_time": "date", "location": "address",
        "participants": "participants", "attendees": "varchar", "conference_meeting_client": "varchar",
        "conference_meeting_url": "varchar", "conference_meeting_id": "varchar", "public_description": "text",
        "priority": "enum", "note": "text",
    },
    "products": {
        "id": "int", "name": "varchar", "code": "varchar", "description": "text", "unit": "varchar", "tax": "double",
        "category": "enum", "is_linkable": "boolean", "is_deleted": "boolean", "visible_to": "visible_to",
        "owner_id": "user", "add_time": "date", "update_time": "date", "billing_frequency": "enum",
        "billing_frequency_cycles": "int", "prices": "monetary",
    },
}  # fmt: skip
"""Object -> field code -> field type."""
ADDRESS = (
    "value", "street_number", "route", "subpremise", "locality", "sublocality", "admin_area_level_1", "admin_area_level_2",
    "country", "postal_code", "formatted_address",
)  # fmt: skip
_SUBFIELDS = {
    "monetary": ("value", "currency"), "daterange": ("value", "until"), "time": ("value", "timezone_id", "timezone_name"),
    "timerange": ("value", "until", "timezone_id", "timezone_name"), "address": ADDRESS,
}  # fmt: skip
COLOURS = ("green", "yellow", "red", "blue", None)


def fields_entity(entity: str) -> str:
    """deals -> deal_fields."""
    return {"activities": "activity"}.get(entity, entity.removesuffix("s")) + "_fields"


def field_code(tenant: str, entity: str, name: str, field_type: str) -> str:
    """The 40 digits of a custom field."""
    return hashlib.sha1(f"{tenant}/{entity}/{name}/{field_type}".encode()).hexdigest()


def definition(code: str, name: str, field_type: str, custom: bool, options: list[Record] | None = None) -> Record:
    """A field as v2 describes it."""
    parts = _SUBFIELDS.get(field_type)
    return {
        "field_name": name, "field_code": code, "description": None if custom else f"{name} of the record",
        "field_type": field_type, "options": options,
        "subfields": parts and [
            {
                "field_code": part, "field_name": f"{part} of {name}",
                "field_type": "double" if (field_type, part) == ("monetary", "value") else "varchar",
            }
            for part in parts
        ],
        "is_custom_field": custom, "is_optional_response_field": False,
        "ui_visibility": {"add_visible_flag": not custom, "details_visible_flag": True},
        "important_fields": {"enabled": False, "stage_ids": []}, "required_fields": {"enabled": False},
    }  # fmt: skip


def definitions(tenant: str, entity: str) -> list[Record]:
    """All fields of an object at the start of the story."""
    known = [
        definition(code, code.replace("_", " ").capitalize(), kind, False, _standard_options(code))
        for code, kind in STANDARD[entity].items()
    ]
    if entity not in ENTITIES:  # activities: v2 gives neither custom fields nor whether a field is important
        return [
            {name: value for name, value in row.items() if name not in ("important_fields", "required_fields")}
            for row in known
        ]
    first_option = 20 + 100 * ENTITIES.index(entity)
    for name, kind in [*zip(NAMES[entity], TYPES, strict=True), *MORE.get(entity, ())]:
        options = None
        if kind in ("enum", "set"):
            options = [
                {"id": first_option + number, "label": label}
                | ({"color": COLOURS[number]} if entity == "deals" else {})
                for number, label in enumerate(LABELS[name])
            ]
            first_option += len(options) + 10
        known.append(definition(field_code(tenant, entity, name, kind), name, kind, True, options))
    return known


def _standard_options(code: str) -> list[Record] | None:
    labels = {
        "label_ids": ("Hot", "Warm", "Cold"), "channel": ("Web forms", "Prospector", "Messaging"),
        "industry": ("Fitness", "Health", "Retail"),
    }.get(code)  # fmt: skip
    return labels and [{"id": number, "label": label} for number, label in enumerate(labels, 1)]


def value(field: Record, random: Random, world: World, people: list[int], users: list[int], today: date) -> Any:
    """A plausible value of a custom field, None as often as people leave it empty."""
    if random.random() < 0.45:
        return None
    kind, day = field["field_type"], today - timedelta(days=random.randrange(900))
    if kind in ("varchar", "varchar_auto"):
        return random.choice(("", f"SF-{random.randrange(10**6):06d}", "Straße 7 · „Zitat“", "N/A"))
    if kind == "text":
        return random.choice(("needs a call", "zweite Zeile\nfolgt", "会員 30% off ✓", ""))
    if kind == "phone":
        return f"+49 30 {random.randrange(10**7):07d}"
    if kind == "double":
        return round(random.random() * 100, 2)
    if kind == "int":
        return random.randrange(500)
    if kind == "monetary":
        return {"value": random.randrange(100, 90_000) / 4, "currency": random.choice(("EUR", "USD"))}
    if kind == "date":
        return day.isoformat()
    if kind == "daterange":
        return {"value": day.isoformat(), "until": (day + timedelta(days=365)).isoformat()}
    if kind == "time":
        return _zoned(random.randrange(8, 18))
    if kind == "timerange":
        begin = random.randrange(6, 12)
        return _zoned(begin) | {"until": f"{begin + 8:02d}:30:00"}
    if kind == "enum":  # an option that was deleted stays in old records
        return 9999 if random.random() < 0.004 else random.choice(field["options"])["id"]
    if kind == "set":
        return [option["id"] for option in field["options"] if random.random() < 0.5]
    if kind == "user":
        return random.choice(users)
    if kind in ("org", "people"):
        return random.choice(people)
    return address(world, random.randrange(world.companies)) | {"formatted_address": "—"}


def _zoned(hour: int) -> Record:
    return {"value": f"{hour:02d}:00:00", "timezone_id": 72, "timezone_name": "Europe/Berlin"}


def address(world: World, company: int) -> Record:
    """Where a company sits, in Pipedrive's parts."""
    place = world.company(company)
    number = "".join(letter for letter in place.street if letter.isdigit())
    route = place.street.replace(number, "").strip(" ,")
    return {
        "value": f"{place.street}, {place.zip} {place.city}", "country": place.country, "admin_area_level_1": None,
        "admin_area_level_2": None, "locality": place.city, "sublocality": None, "route": route, "street_number": number,
        "subpremise": None, "postal_code": place.zip,
    }  # fmt: skip
