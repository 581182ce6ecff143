"""The columns of Marketplace's tables, and what they are made of where AWS writes times as numbers and terms as lists.

What belongs here: names, types and the members made for them. What does not: how the tables are read.
"""

from datetime import UTC, datetime
from typing import Any

from resources.connectors.aws_columns import MONEY, columns_of, output_shape
from resources.connectors.base import Column, ColumnType

CATALOG_API, AGREEMENT_API = "marketplace-catalog", "marketplace-agreement"


def iso(seconds: Any) -> str | None:
    """Seconds since 1970, as this service writes times, as the text that columns take."""
    if not isinstance(seconds, int | float):
        return seconds if isinstance(seconds, str) else None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


TIMES = ("acceptanceTime", "startTime", "endTime")
TERM_TIMES = ("agreementStartDate", "agreementEndDate")


def readable(agreement: dict[str, Any], terms: list[dict[str, Any]]) -> dict[str, Any]:
    """What columns are made of: an agreement's times are numbers, its terms and products lists.

    Returns:
        `times`: as texts; `terms`: kind -> the first term of that kind; `resource`: the first product.
    """
    kinds: dict[str, Any] = {}
    for term in terms:
        for kind, content in term.items():
            if isinstance(content, dict):
                dated = {name: iso(content[name]) for name in TERM_TIMES if name in content}
                kinds.setdefault(kind, {**content, **dated})
    resources = (agreement.get("proposalSummary") or {}).get("resources") or [{}]
    return {"times": {name: iso(agreement.get(name)) for name in TIMES}, "terms": kinds, "resource": resources[0]}


# -- columns -----------------------------------------------------------------------------------------------------------------


def _described(name: str, member: str, kind: ColumnType = "text") -> Column:
    return Column(name, kind, kind, path=("DetailsDocument", "Description", member))


PRODUCT_COLUMNS = (
    Column("entity_id", "text", "string", path=("EntityId",)),
    Column("entity_type", "text", "string", path=("EntityType",)),
    Column("entity_identifier", "text", "string", "id@revision", path=("EntityIdentifier",)),
    Column("entity_arn", "text", "string", path=("EntityArn",)),
    Column("last_modified_date", "timestamp", "string", path=("LastModifiedDate",)),
    _described("product_title", "ProductTitle"), _described("product_code", "ProductCode"),
    _described("visibility", "Visibility"), _described("product_state", "ProductState"), _described("sku", "Sku"),
    _described("manufacturer", "Manufacturer"), _described("short_description", "ShortDescription"),
    _described("long_description", "LongDescription"), _described("highlights", "Highlights", "texts"),
    _described("search_keywords", "SearchKeywords", "texts"), _described("categories", "Categories", "texts"),
    Column("dimensions", "json", "json", path=("DetailsDocument", "Dimensions")),
    Column("regions", "texts", "json", path=("DetailsDocument", "RegionAvailability", "Regions")),
    Column("targeting", "json", "json", path=("DetailsDocument", "Targeting")),
    Column("support_description", "text", "json", path=("DetailsDocument", "SupportInformation", "Description")),
    Column("delivery_options", "json", "json", path=("DetailsDocument", "Versions")),
)  # fmt: skip
"""A product's document has no published shape; these are the members of the usual ones. All of it is in `raw_data`."""


def agreement_columns() -> tuple[Column, ...]:
    described = columns_of(output_shape(AGREEMENT_API, "DescribeAgreement"), prefixes={
        ("proposalSummary",): "", ("proposalSummary", "resources"): None, ("estimatedCharges",): "",
        **{(name,): None for name in TIMES},
    })  # fmt: skip
    readable = ("Readable",)
    accepted = output_shape(AGREEMENT_API, "GetAgreementTerms").members["acceptedTerms"].member
    return (
        *described,
        *(_time(name) for name in TIMES),
        Column("last_update_time", "timestamp", "timestamp", path=("ChangedAt",)),
        Column("product_id", "text", "string", path=(*readable, "resource", "id")),
        Column("product_type", "text", "string", path=(*readable, "resource", "type")),
        Column("entitlements", "json", "list", path=("Summary", "entitlements")),
        Column("accepted_terms", "json", "list", path=("acceptedTerms",)),
        *(_term(column) for column in columns_of(accepted, (*readable, "terms"), {(*readable, "terms"): ""})),
    )  # fmt: skip


def _time(name: str) -> Column:
    readable = f"{name.removesuffix('Time').lower()}_time"
    return Column(readable, "timestamp", "timestamp", path=("Readable", "times", name))


def _term(column: Column) -> Column:
    """Prices are texts of numbers, too."""
    if column.name.endswith("_price"):
        return Column(column.name, "decimal", column.source_type, column.label, path=column.path, sql_type=MONEY)
    return column
