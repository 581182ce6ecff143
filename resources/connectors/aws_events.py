"""What an EventBridge event of Partner Central or Marketplace tells: which opportunity, engagement, product or agreement changed.

An EventBridge API destination posts them; its connection's API key (header `x-api-key`), Basic password or bearer token is the
secret. Shapes follow AWS's description of the events.

INVENTED: where events name their record is known of opportunities, engagement invitations, products and agreements; of the others
it is looked for under the same kind of key.
"""

import re
from collections.abc import Mapping
from typing import Any

from resources.connectors.base import Change
from resources.connectors.webhooks import read_json, require_token

RECORDS = {
    "opportunity": "opportunities",
    "engagementInvitation": "leads",
    "engagement": "engagements",
    "benefitApplication": "benefit_applications",
    "benefitAllocation": "benefit_allocations",
    "product": "products",
    "agreement": "agreements",
}
"""Key in `detail` -> our table."""
_IDS = ("identifier", "id", "Id", "Identifier")

_PRODUCT_ID = r"(?:prod-[0-9A-Za-z]{1,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_AGREEMENT_ID = r"agmt-[0-9A-Za-z]{1,59}"
FORMS = {
    "opportunities": re.compile(r"O[0-9]{1,19}"),
    "leads": re.compile(r"engi-[0-9a-z]{1,32}"),
    "engagements": re.compile(r"eng-[0-9a-z]{1,32}"),
    "benefit_applications": re.compile(r"benappl-[0-9a-z]{1,32}"),
    "benefit_allocations": re.compile(r"benalloc-[0-9a-z]{1,32}"),
    "products": re.compile(_PRODUCT_ID),
    "agreements": re.compile(_AGREEMENT_ID),
}
"""Our table -> what its ids look like; old products go by a UUID."""

_ARNS = {
    "products": re.compile(rf"/[A-Za-z]+Product/({_PRODUCT_ID})\Z"),
    "agreements": re.compile(rf":agreement[:/]({_AGREEMENT_ID})\Z"),
}
"""How the ARNs under `resources` end that tell of a record."""

AGREEMENTS = "aws.agreement-marketplace"


def webhook(secret: str, headers: Mapping[str, str], body: bytes) -> list[Change]:
    """The records that an event is about; none if we do not read such. See `lake_config.SourceType.webhook`."""
    require_token(headers, secret)
    event = read_json(body)
    detail: Any = event.get("detail")
    if not isinstance(detail, dict) or "detail-type" not in event:
        raise ValueError("not an EventBridge event: `detail-type` and `detail` are expected")
    found = [
        Change(table, _checked(table, record_id))
        for key, table in RECORDS.items()
        if isinstance(record := detail.get(key), dict)
        and (record_id := next((record[name] for name in _IDS if record.get(name)), None))
    ]
    resources = event.get("resources")
    for arn in resources if isinstance(resources, list) else ():
        for table, form in _ARNS.items():
            if match := form.search(str(arn)):
                found.append(Change(table, match[1]))
    if event.get("source") == AGREEMENTS:  # it names the product, which may be another seller's and did not change
        found = [change for change in found if change.table == "agreements"]
    return list(dict.fromkeys(found))


def _checked(table: str, record_id: Any) -> str:
    if not isinstance(record_id, str) or not FORMS[table].fullmatch(record_id):
        raise ValueError(f"{str(record_id)[:80]!r} is no id of {table}")
    return record_id
