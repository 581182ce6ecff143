"""AWS Marketplace as a source, seen by a seller: products, agreements with their terms, metered usage.

Products and agreements are listed, and only what moved is got. Members that we add to a record: `EntityId` (products); `Summary`
(what SearchAgreements tells of an agreement), `acceptedTerms`, `ChangedAt` and `Readable` (times as texts, terms by kind, the
product). Metered usage comes from files: AWS offers no reading of it (`marketplace_usage`).
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from lake_config import Place, Secret, SourceType
from resources.budget import Budget
from resources.connectors import json_text
from resources.connectors.aws import AwsAccount, AwsSettings
from resources.connectors.aws_errors import Gone
from resources.connectors.aws_events import webhook
from resources.connectors.aws_reading import Reader, with_members
from resources.connectors.base import (
    MissingAtSource,
    NotPermitted,
    Page,
    TableSchema,
    Window,
    configured,
)
from resources.connectors.chosen_fields import ChosenFields
from resources.connectors.marketplace_columns import (
    AGREEMENT_API,
    CATALOG_API,
    PRODUCT_COLUMNS,
    agreement_columns,
    iso,
    readable,
)
from resources.connectors.marketplace_ledger import UsageLedger
from resources.connectors.marketplace_usage import UsageFeed
from resources.connectors.postgres import PostgresSource
from resources.http import Usage

log = logging.getLogger(__name__)

PAGE = 50
"""The most that any listing gives."""

PRODUCT_TYPES = ("SaaSProduct", "AmiProduct", "ContainerProduct", "DataProduct", "MachineLearningProduct",
                 "ProfessionalServicesProduct")  # fmt: skip
SORTED_TYPES = PRODUCT_TYPES[:-1]
"""Those for which the service has an order of their own."""

TABLES = ("products", "agreements", "meter_usage")
TOKEN = ("nextToken", "nextToken")

Listed = list[tuple[str, str | None]]


class MarketplaceSource(AwsSettings):
    """One seller's AWS Marketplace."""

    type: Literal["marketplace"] = "marketplace"
    catalog: str = Field("AWSMarketplace", description="AWS Marketplace's own catalog")
    product_types: tuple[str, ...] = Field(PRODUCT_TYPES, description="entity types to list as products")
    usage: Place | None = Field(None, description="the folder or object-store URL of the metering feed's CSV files")
    usage_id: str = Field("metering_record_id", description="which column of the feed names a record")
    usage_modified: str = Field("sent_at", description="which column of the feed tells when a record was sent")
    usage_options: dict[str, Secret] = Field(default_factory=dict, description="for the feed's file system (fsspec)")
    ledger: PostgresSource | None = Field(
        None,
        description="instead of files: the Postgres in which the metering is kept, with its one table under `tables`",
    )
    max_in_flight: int = Field(4, ge=1, le=64, description="requests under way at once, over all tables")
    max_per_second: float | None = Field(
        5,
        gt=0,
        description="requests started per second; AWS allows an account 5 DescribeAgreement and SearchAgreements",
    )

    @model_validator(mode="after")
    def _one_place_for_usage(self) -> "MarketplaceSource":
        if self.ledger is not None and self.usage is not None:
            raise ValueError("metered usage is in files (usage) or in a ledger, not in both")
        if self.ledger is not None and len(self.ledger.tables or {}) != 1:
            raise ValueError(
                "ledger.tables names the one table that holds the metering; include and exclude stand there"
            )
        return self


class MarketplaceConnector:
    """One seller's AWS Marketplace.

    Parameters:
        name: the source instance's name in `lake.yaml`.
        tenant: the tenant's slug.
        budget: what the source may be asked.
        account: the client to use; by default one with the bounds of `settings`.
    """

    type = "marketplace"

    def __init__(
        self,
        name: str,
        settings: MarketplaceSource,
        tenant: str,
        budget: Budget | None = None,
        account: AwsAccount | None = None,
    ) -> None:
        self._settings = settings
        self._aws = account or AwsAccount(tenant, name, settings, budget)
        self._of_ledger = (f"{name}.ledger", tenant, budget)
        self._metering: UsageFeed | UsageLedger | None = None
        self._lock = threading.Lock()
        self._reader = Reader(self._aws.at_once)
        self._found: dict[str, dict[str, Any]] = {}
        """Agreement -> what the last search told of it, until it is read."""

    def tables(self) -> list[str]:
        """The built-in tables (usage only where a feed or ledger is configured), or only those that configuration lists."""
        listed = list(self._settings.tables or {})
        if self._settings.only_listed:
            return listed
        own = [table for table in TABLES if table != "meter_usage" or self._metered]
        return [*own, *(table for table in listed if table not in own)]

    def check(self) -> str:
        began = time.monotonic()
        self._ping()
        said = f"AWS Marketplace, catalog {self._settings.catalog}: answered in {time.monotonic() - began:.2f} s"
        return f"{said}; {self._usage().check()}" if self._metered else said

    def server_time(self) -> datetime:
        if self._settings.only_listed and set(self.tables()) == {"meter_usage"}:
            return datetime.now(UTC).replace(microsecond=0)  # files alone: AWS is not asked for anything
        return self._aws.server_time(self._ping)

    def schema(self, table: str) -> TableSchema:
        """What botocore's models know of agreements, what product documents usually hold, and the headers of the feed's files.

        Raises:
            MissingAtSource: there is no such table, or no feed is configured.
        """
        if table == "meter_usage":
            return self._usage().schema(table)
        columns = self._fields(table).kept(self._aws.where(table), f"{self._aws.keys}.tables.{table}")
        if table == "products":
            return TableSchema(
                table,
                "entities",
                columns,
                "EntityId",
                "LastModifiedDate",
                whole=True,
                listed=True,
                filled_silently=False,
            )
        return TableSchema(table, "agreements", columns, "agreementId", "ChangedAt", listed=True, filled_silently=False)

    def _fields(self, table: str) -> ChosenFields:
        if table == "products":
            columns, always = PRODUCT_COLUMNS, ("EntityId", "LastModifiedDate")
        elif table == "agreements":
            columns, always = agreement_columns(), ("agreementId", "ChangedAt")
        else:
            raise MissingAtSource(f"{self._aws.where(table)}: AWS Marketplace has the tables {', '.join(TABLES)}.")
        return ChosenFields(columns, (self._settings.tables or {}).get(table), always)

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        """The lines of the feed's new files, or the ledger's rows. The other tables are listed."""
        return self._usage().pages(window)

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        """One request a product; two or more an agreement, and one or three more if the last listing did not tell of it. Several
        are under way."""
        if schema.table == "meter_usage":
            return self._usage().of_ids(ids)
        read = self._product if schema.table == "products" else self._agreement

        def one(record_id: str) -> tuple[bytes, datetime] | None:
            try:
                return read(record_id)
            except Gone:
                return None

        return self._fields(schema.table).cut(
            self._reader.records(schema.table, ids, one, lambda: self._listing(schema.table, Window()))
        )

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        """A ledger's. Listed records without a time are read by every sync."""
        return self._usage().undated() if schema.table == "meter_usage" else iter(())

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[Listed]:
        if schema.table == "meter_usage":
            return self._usage().inventory()
        return self._reader.noted(schema.table, self._listing(schema.table, window))

    def _listing(self, table: str, window: Window) -> Iterator[Listed]:
        return self._listed_products() if table == "products" else self._listed_agreements(window)

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """A look at the feed's folder or the ledger, which asks AWS nothing, and one request: an agreement that changed since.
        Products cannot be asked but by listing them."""
        if "meter_usage" in since and self._metered and self._usage().newer_than(since["meter_usage"]):
            return True
        if "agreements" in since:
            try:
                after = since["agreements"] - timedelta(seconds=1)
                page = next(self._search(_filters(AfterLastUpdateTime=_bound(after)), maxResults=1))
                return bool(page["agreementViewSummaries"])
            except (NotPermitted, MissingAtSource) as error:
                log.debug("cannot tell if there are changes: %s", error)
        return False

    def usage(self, table: str | None = None) -> Usage:
        """What the source was asked for `table` so far, or altogether."""
        return self._aws.usage(table)

    def close(self) -> None:
        self._aws.close()
        if self._metering:
            self._metering.close()

    # -- lists and records -------------------------------------------------------------------------------------------------

    def _ping(self) -> None:
        given = {"Catalog": self._settings.catalog, "EntityType": self._settings.product_types[0], "MaxResults": 1}
        self._aws.call(CATALOG_API, "list_entities", None, **given)

    @property
    def _metered(self) -> bool:
        return self._settings.usage is not None or self._settings.ledger is not None

    def _usage(self) -> UsageFeed | UsageLedger:
        """Where metered usage is.

        Raises:
            MissingAtSource: nowhere, by configuration.
        """
        with self._lock:
            if self._metering is None:
                self._metering = self._new_usage()
            return self._metering

    def _new_usage(self) -> UsageFeed | UsageLedger:
        settings, where, keys = self._settings, self._aws.where("meter_usage"), f"{self._aws.keys}.usage"
        if settings.ledger is not None:
            name, tenant, budget = self._of_ledger
            return UsageLedger(name, settings.ledger, tenant, budget)
        if settings.usage is None:
            raise MissingAtSource(f"{where}: no feed is configured. Set {keys}, or ledger.")
        options = {name: configured(value, f"{keys}_options.{name}") for name, value in settings.usage_options.items()}
        fields = (settings.tables or {}).get("meter_usage")
        folder = configured(settings.usage, keys)
        return UsageFeed(folder, settings.usage_id, where, settings.usage_modified, options, fields)

    def _listed_products(self) -> Iterator[Listed]:
        given: dict[str, Any] = {"Catalog": self._settings.catalog, "MaxResults": PAGE}
        for kind in self._settings.product_types:
            given["EntityType"] = kind
            # By id: in the usual order, by time, what changes meanwhile could be missed and look deleted.
            order = {"SortBy": "EntityId", "SortOrder": "ASCENDING"}
            sort: dict[str, Any] = (
                {"EntityTypeSort": {f"{kind}Sort": order}} if kind in SORTED_TYPES else {"Sort": order}
            )
            for page in self._aws.listing(CATALOG_API, "list_entities", "products", **given, **sort):
                yield [(one["EntityId"], one.get("LastModifiedDate")) for one in page["EntitySummaryList"]]

    def _product(self, record_id: str) -> tuple[bytes, datetime]:
        given = {"Catalog": self._settings.catalog, "EntityId": record_id}
        answer = self._aws.call(CATALOG_API, "describe_entity", "products", **given)
        kind = str(answer.value().get("EntityType")).partition("@")[0]  # SaaSProduct@1.0
        if kind not in self._settings.product_types:  # an event told of it
            raise Gone(f"{self._aws.where('products')}: {record_id} is a {kind}, which no sync lists")
        return with_members(answer.body, EntityId=json_text.encode(record_id)), answer.read_at

    def _search(self, filters: list[dict[str, Any]], **given: Any) -> Iterator[Any]:
        given = {"catalog": self._settings.catalog, "maxResults": PAGE, "filters": filters, **given}
        return self._aws.listing(AGREEMENT_API, "search_agreements", "agreements", TOKEN, **given)

    def _listed_agreements(self, window: Window) -> Iterator[Listed]:
        """By the time of the start, which does not change. AWS's bounds are dates "after" and "before" which to list: ours are a
        second wider."""
        bounds = {}
        if window.lo is not None:
            bounds["AfterLastUpdateTime"] = _bound(window.lo - timedelta(seconds=1))
        if window.hi is not None:
            bounds["BeforeLastUpdateTime"] = _bound(window.hi + timedelta(seconds=1))
        self._found.clear()
        sort = {"sortBy": "StartTime", "sortOrder": "ASCENDING"}
        for page in self._search(_filters(**bounds), sort=sort):
            summaries = page["agreementViewSummaries"]
            self._found |= {one["agreementId"]: one for one in summaries}
            yield [(one["agreementId"], iso(one.get("lastUpdateTime"))) for one in summaries]

    def _agreement(self, record_id: str) -> tuple[bytes, datetime]:
        """What the search tells of it is kept with it: only that tells when it changed, and its licences. The search is first: if
        the agreement moves in between, its old time makes the next sync read it again."""
        summary = self._found.pop(record_id, None) or self._summary(record_id)
        answer = self._aws.call(AGREEMENT_API, "describe_agreement", "agreements", agreementId=record_id)
        pages = self._aws.listing(AGREEMENT_API, "get_agreement_terms", "agreements", TOKEN, agreementId=record_id)
        terms = [term for page in pages for term in page.get("acceptedTerms") or []]
        added = {
            "acceptedTerms": terms,
            "Summary": summary,
            "ChangedAt": iso(summary.get("lastUpdateTime")),
            "Readable": readable(answer.value(), terms),
        }
        return with_members(
            answer.body, **{name: json_text.encode(value) for name, value in added.items()}
        ), answer.read_at

    def _summary(self, record_id: str) -> dict[str, Any]:
        """What a search tells of an agreement that none found yet (an event told of it, or it came twice). There is no filter for
        one agreement, but one for the chain of renewals it belongs to: mostly it is the first in it.

        Raises:
            Gone: there is none, or not one that a sync would find (we are the buyer).
        """
        found = self._in_chain(record_id, record_id)
        if found is None:
            known = self._aws.call(AGREEMENT_API, "describe_agreement", "agreements", agreementId=record_id).value()
            first = known.get("initialAgreementId")
            found = self._in_chain(first, record_id) if first and first != record_id else None
        if found is None:
            raise Gone(f"{self._aws.where('agreements')}: no search as the proposer finds {record_id}")
        return found

    def _in_chain(self, first: str, wanted: str) -> dict[str, Any] | None:
        pages = self._search(_filters(InitialAgreementId=first))
        return next(
            (one for page in pages for one in page["agreementViewSummaries"] if one["agreementId"] == wanted), None
        )


def _filters(**more: str) -> list[dict[str, Any]]:
    named = {"AgreementType": "PurchaseAgreement", "PartyType": "Proposer", **more}
    return [{"name": name, "values": [value]} for name, value in named.items()]


def _bound(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


SOURCE = SourceType("marketplace", MarketplaceSource, MarketplaceConnector, webhook=webhook)
