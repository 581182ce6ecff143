"""Which tables Pipedrive has for the lake, the lists that each is read from, and what a request of them costs.

Costs are tokens of the company's daily budget, by the vendor's OpenAPI description. How the lists are read: `pipedrive.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One list of a table. `params`: what makes it this list; `cost`: tokens a request."""

    path: str
    cost: int
    params: tuple[tuple[str, str], ...] = ()


_DELETED = (("status", "deleted"),)
PARTS: dict[str, dict[str, Part]] = {
    # Without a status the lists hold every deal that is not deleted, whatever its status is called; naming statuses to get the
    # deleted ones in the same request would leave out those with a status that is newer than this line.
    "deals": {
        "live": Part("/api/v2/deals", 10),
        "archived": Part("/api/v2/deals/archived", 20),
        "deleted": Part("/api/v2/deals", 10, _DELETED),
        "deleted archived": Part("/api/v2/deals/archived", 20, _DELETED),
    },
    "persons": {"": Part("/api/v2/persons", 10)},
    "organizations": {"": Part("/api/v2/organizations", 10)},
    "activities": {"": Part("/api/v2/activities", 10)},
}
"""Tables that can be asked for changes -> their lists."""

WHOLE = {
    "products": Part("/api/v2/products", 10),
    "pipelines": Part("/api/v2/pipelines", 5),
    "stages": Part("/api/v2/stages", 5),
    "users": Part("/v1/users", 20),
}
METADATA = {
    "deal_fields": Part("/api/v2/dealFields", 10),
    "person_fields": Part("/api/v2/personFields", 10),
    "organization_fields": Part("/api/v2/organizationFields", 10),
    "activity_fields": Part("/api/v2/activityFields", 10),
    "product_fields": Part("/api/v2/productFields", 10),
}
FIELDS_OF = {
    "deals": "deal_fields", "persons": "person_fields", "organizations": "organization_fields",
    "activities": "activity_fields", "products": "product_fields",
}  # fmt: skip
"""Table -> the table of its fields."""

BUILT_IN_TABLES = (*PARTS, *WHOLE, *METADATA)
POLL_COST = sum(next(iter(parts.values())).cost for parts in PARTS.values())
