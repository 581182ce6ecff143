"""What an EventBridge event of Partner Central or Marketplace tells: which opportunity, engagement, benefit or agreement changed.

An EventBridge API destination posts them; its connection's API key (header `x-api-key`), Basic password or bearer token is the
secret. Shapes follow AWS's description of the events.

INVENTED: where events name their record is known of opportunities and engagement invitations; of the others it is looked for
under the same kind of key.
"""

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


def webhook(secret: str, headers: Mapping[str, str], body: bytes) -> list[Change]:
    """The records that an event is about; none if we do not read such. See `lake_config.SourceType.webhook`."""
    require_token(headers, secret)
    event = read_json(body)
    detail: Any = event.get("detail")
    if not isinstance(detail, dict) or "detail-type" not in event:
        raise ValueError("not an EventBridge event: `detail-type` and `detail` are expected")
    found = [
        Change(table, str(record_id))
        for key, table in RECORDS.items()
        if isinstance(record := detail.get(key), dict)
        and (record_id := next((record[name] for name in _IDS if record.get(name)), None))
    ]
    return found
