"""AWS Partner Central as a source: opportunities, leads, solutions, engagements, benefits.

AWS gives one record an answer: tables are listed, and only what moved is got. Where the list tells no time of change, the record
gets one made of what the list does tell (`ChangedAt`), so that a change of it is seen; benefit allocations tell too little and
are got by every sync. Members that we add to a record: `AwsOpportunitySummary`, `Lead`, `OtherLeads`, `ChangedAt`.
"""

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from lake_config import SourceType
from resources.budget import Budget
from resources.connectors import json_text
from resources.connectors.aws import Answer, AwsAccount, AwsSettings
from resources.connectors.aws_errors import Gone, Invalid
from resources.connectors.aws_events import webhook
from resources.connectors.aws_reading import RECORDS_A_PAGE, Reader, with_members
from resources.connectors.base import MissingAtSource, NotPermitted, Page, TableSchema, Window
from resources.connectors.chosen_fields import ChosenFields
from resources.connectors.partner_central_columns import BENEFITS, MODIFIED, SELLING, TABLES
from resources.http import Usage

log = logging.getLogger(__name__)

PAGE = 100
"""The most that any listing gives."""

IDS_A_FILTER = 20

READS_A_DAY = 100_000
"""AWS's quota for an account's read operations in 24 hours; 10 in a second."""

Listed = list[tuple[str, str | None]]


class PartnerCentralSource(AwsSettings):
    """One partner account's Partner Central."""

    type: Literal["partner_central"] = "partner_central"
    catalog: Literal["AWS", "Sandbox"] = Field("AWS", description="Sandbox is AWS's own place for trying things")
    max_in_flight: int = Field(8, ge=1, le=64, description="requests under way at once, over all tables")
    max_per_day: int | None = Field(
        READS_A_DAY, gt=0, description="tries a UTC day; AWS allows an account 100,000 reads in 24 hours"
    )
    max_per_second: float | None = Field(
        10, gt=0, description="requests started per second; AWS allows an account 10 reads"
    )


class PartnerCentralConnector:
    """One partner account's Partner Central.

    Parameters:
        name: the source instance's name in `lake.yaml`.
        tenant: the tenant's slug.
        budget: what the source may be asked.
        account: the client to use; by default one with the bounds of `settings`.
    """

    type = "partner_central"

    def __init__(
        self,
        name: str,
        settings: PartnerCentralSource,
        tenant: str,
        budget: Budget | None = None,
        account: AwsAccount | None = None,
    ) -> None:
        self._settings = settings
        self._aws = account or AwsAccount(tenant, name, settings, budget)
        self._reader = Reader(self._aws.at_once)

    def tables(self) -> list[str]:
        """The built-in tables and those added by configuration, or only those it lists."""
        listed = list(self._settings.tables or {})
        return listed if self._settings.only_listed else [*TABLES, *(table for table in listed if table not in TABLES)]

    def check(self) -> str:
        began = time.monotonic()
        self._ping()
        return f"AWS Partner Central, catalog {self._settings.catalog}: answered in {time.monotonic() - began:.2f} s"

    def server_time(self) -> datetime:
        return self._aws.server_time(self._ping)

    def schema(self, table: str) -> TableSchema:
        """The members that botocore's model of the service knows; what AWS sends beyond them is in the records all the same.

        Raises:
            MissingAtSource: there is no such table.
        """
        if table not in TABLES:
            raise MissingAtSource(f"{self._aws.where(table)}: Partner Central has the tables {', '.join(TABLES)}.")
        columns = self._fields(table).kept(self._aws.where(table), f"{self._aws.keys}.tables.{table}")
        whole, listed = table != "opportunities", table != "solutions"
        return TableSchema(
            table, table, columns, "Id", MODIFIED.get(table), whole=whole, listed=listed, filled_silently=False
        )

    def _fields(self, table: str) -> ChosenFields:
        always = ("Id", MODIFIED.get(table, "Id"))
        return ChosenFields(TABLES[table](), (self._settings.tables or {}).get(table), always)

    def changes(self, schema: TableSchema, window: Window) -> Iterator[Page]:
        """All solutions: their list is all there is to know. The other tables are listed."""
        sort = {"SortBy": "Identifier", "SortOrder": "ASCENDING"}
        pages = self._list(SELLING, "list_solutions", schema.table, Sort=sort)
        solutions = (Page(page["SolutionSummaries"], datetime.now(UTC)) for page in pages)
        yield from self._fields(schema.table).cut(solutions)

    def by_ids(self, schema: TableSchema, ids: Iterable[str]) -> Iterator[Page]:
        """One or two requests a record, several under way."""
        pages = self._solutions(ids) if schema.table == "solutions" else self._records(schema.table, ids)
        yield from self._fields(schema.table).cut(pages)

    def _solutions(self, ids: Iterable[str]) -> Iterator[Page]:
        wanted = sorted(set(ids))
        for begin in range(0, len(wanted), IDS_A_FILTER):
            some = wanted[begin : begin + IDS_A_FILTER]
            for page in self._list(SELLING, "list_solutions", "solutions", Identifier=some):
                yield Page(page["SolutionSummaries"], datetime.now(UTC))

    def _records(self, table: str, ids: Iterable[str]) -> Iterator[Page]:
        read = {
            "opportunities": self._opportunity,
            "leads": self._lead,
            "engagements": self._engagement,
            "benefit_applications": self._benefit_application,
            "benefit_allocations": self._benefit_allocation,
        }[table]

        def one(record_id: str) -> tuple[bytes, datetime] | None:
            try:
                return read(record_id)
            except Gone:
                return None

        return self._reader.records(table, ids, one, lambda: self._listing(table)(Window()))

    def undated(self, schema: TableSchema) -> Iterator[Page]:
        """None: records without a time are read by every sync."""
        return iter(())

    def inventory(
        self,
        schema: TableSchema,
        window: Window = Window(),  # noqa: B008
    ) -> Iterator[Listed]:
        return self._reader.noted(schema.table, self._listing(schema.table)(window))

    def _listing(self, table: str) -> Callable[[Window], Iterator[Listed]]:
        return {
            "opportunities": self._listed_opportunities,
            "solutions": self._listed_solutions,
            "leads": self._listed_leads,
            "engagements": self._listed_engagements,
            "benefit_applications": self._listed_applications,
            "benefit_allocations": self._listed_allocations,
        }[table]

    def has_changes(self, since: dict[str, datetime]) -> bool:
        """Two requests at the most: an opportunity changed since, or an invitation that came since. The other tables cannot be
        asked."""
        asked = {"opportunities": self._newer_opportunity, "leads": self._newer_lead}
        for table in asked.keys() & since.keys():
            try:
                if asked[table](since[table]):
                    return True
            except (NotPermitted, MissingAtSource) as error:
                log.debug("cannot tell if there are changes: %s", error)
        return False

    def _newer_opportunity(self, since: datetime) -> bool:
        after = {"AfterLastModifiedDate": since}
        page = next(self._list(SELLING, "list_opportunities", "opportunities", LastModifiedDate=after, MaxResults=1))
        return bool(page["OpportunitySummaries"])

    def _newer_lead(self, since: datetime) -> bool:
        sort = {"SortBy": "InvitationDate", "SortOrder": "DESCENDING"}
        page = next(self._invitations("RECEIVER", Sort=sort, MaxResults=1))
        newest = [one.get("InvitationDate") for one in page["EngagementInvitationSummaries"]]
        return any(_moment(text) >= since for text in newest if text)

    def usage(self, table: str | None = None) -> Usage:
        """What the source was asked for `table` so far, or altogether."""
        return self._aws.usage(table)

    def close(self) -> None:
        self._aws.close()

    # -- lists -------------------------------------------------------------------------------------------------------------

    def _list(self, service: str, operation: str, table: str, **given: Any) -> Iterator[Any]:
        given = {"MaxResults": PAGE, **given}
        return self._aws.listing(service, operation, table, Catalog=self._settings.catalog, **given)

    def _ping(self) -> None:
        self._aws.call(SELLING, "list_solutions", None, Catalog=self._settings.catalog, MaxResults=1)

    def _listed_opportunities(self, window: Window) -> Iterator[Listed]:
        """By id, which does not change, and without an upper end but for past days: what moves meanwhile is listed at least once,
        however AWS counts its pages. AWS's window includes its lower end."""
        given: dict[str, Any] = {"Sort": {"SortBy": "Identifier", "SortOrder": "ASCENDING"}}
        bounds: dict[str, datetime] = {}
        if window.lo is not None:
            bounds["AfterLastModifiedDate"] = window.lo.replace(microsecond=0)
        if window.hi is not None:
            bounds["BeforeLastModifiedDate"] = window.hi
        if bounds:
            given["LastModifiedDate"] = bounds
        for page in self._list(SELLING, "list_opportunities", "opportunities", **given):
            yield [(one["Id"], one.get("LastModifiedDate")) for one in page["OpportunitySummaries"]]

    def _listed_solutions(self, window: Window) -> Iterator[Listed]:
        for page in self._list(SELLING, "list_solutions", "solutions"):
            yield [(one["Id"], None) for one in page["SolutionSummaries"]]

    def _listed_engagements(self, window: Window) -> Iterator[Listed]:
        for page in self._engagement_pages("engagements"):
            yield [(one["Id"], engagement_changed(one)) for one in page]

    def _engagement_pages(self, table: str, **given: Any) -> Iterator[list[Any]]:
        sort = {"SortBy": "CreatedDate", "SortOrder": "ASCENDING"}
        for page in self._list(SELLING, "list_engagements", table, Sort=sort, **given):
            yield page["EngagementSummaryList"]

    def _invitations(self, side: str, **given: Any) -> Iterator[Any]:
        kinds = {"ParticipantType": side, "PayloadType": ["LeadInvitation"], **given}
        return self._list(SELLING, "list_engagement_invitations", "leads", **kinds)

    def _listed_leads(self, window: Window) -> Iterator[Listed]:
        """Invitations about leads, received and sent; then the engagements about leads that none of them led to."""
        engagements = {
            one["Id"]: engagement_changed(one)
            for page in self._engagement_pages("leads", ContextTypes=["Lead"])
            for one in page
        }
        seen: set[str] = set()
        sort = {"SortBy": "InvitationDate", "SortOrder": "ASCENDING"}
        for side in ("RECEIVER", "SENDER"):
            for page in self._invitations(side, Sort=sort):
                summaries = page["EngagementInvitationSummaries"]
                joined = {one["Id"]: _joined(one) for one in summaries}
                seen |= {key for key in joined.values() if key}
                yield [(one["Id"], lead_changed(one, engagements.get(joined[one["Id"]] or ""))) for one in summaries]
        rest = [(key, changed) for key, changed in engagements.items() if key not in seen]
        for begin in range(0, len(rest), RECORDS_A_PAGE):
            yield rest[begin : begin + RECORDS_A_PAGE]

    def _listed_applications(self, window: Window) -> Iterator[Listed]:
        for page in self._list(BENEFITS, "list_benefit_applications", "benefit_applications"):
            yield [(one["Id"], one.get("UpdatedAt")) for one in page["BenefitApplicationSummaries"]]

    def _listed_allocations(self, window: Window) -> Iterator[Listed]:
        """Without times: the list tells neither when an allocation changed nor its amounts."""
        for page in self._list(BENEFITS, "list_benefit_allocations", "benefit_allocations"):
            yield [(one["Id"], None) for one in page["BenefitAllocationSummaries"]]

    # -- records -----------------------------------------------------------------------------------------------------------

    def _get(self, service: str, operation: str, table: str, **given: Any) -> Answer:
        return self._aws.call(service, operation, table, Catalog=self._settings.catalog, **given)

    def _opportunity(self, record_id: str) -> tuple[bytes, datetime]:
        """AWS's side is asked second: if the opportunity moves in between, its old time makes the next sync read it again."""
        table = "opportunities"
        own = self._get(SELLING, "get_opportunity", table, Identifier=record_id)
        # AWS has nothing to say of what was not submitted to it.
        summary = self._beside("get_aws_opportunity_summary", table, record_id, RelatedOpportunityIdentifier=record_id)
        return with_members(own.body, AwsOpportunitySummary=summary.body if summary else b"null"), own.read_at

    def _beside(self, operation: str, table: str, record_id: str, **given: Any) -> Answer | None:
        """What belongs to a record that was read, or None: that it may not be read does not take the record itself away."""
        try:
            return self._get(SELLING, operation, table, **given)
        except Gone:
            return None
        except (NotPermitted, Invalid) as error:
            log.warning("%s %s is kept without it.", error, record_id)
            return None

    def _engagement(self, record_id: str) -> tuple[bytes, datetime]:
        answer = self._get(SELLING, "get_engagement", "engagements", Identifier=record_id)
        return with_members(answer.body, ChangedAt=_text(engagement_changed(answer.value()))), answer.read_at

    def _lead(self, record_id: str) -> tuple[bytes, datetime]:
        if record_id.startswith("eng-"):
            answer = self._get(SELLING, "get_engagement", "leads", Identifier=record_id)
            engagement = answer.value()
            kept = json_text.encode({name: value for name, value in engagement.items() if name != "Contexts"})
            added = {"EngagementId": _text(record_id), "ChangedAt": _text(engagement_changed(engagement))}
            return with_members(kept, **_contexts(engagement), **added), answer.read_at
        answer = self._get(SELLING, "get_engagement_invitation", "leads", Identifier=record_id)
        invitation = answer.value()
        if (
            invitation.get("PayloadType") != "LeadInvitation"
        ):  # an event told of it, and events don't tell what it is about
            raise Gone(f"{self._aws.where('leads')}: {record_id} is about no lead")
        leads, changed = {"Lead": b"null", "OtherLeads": b"null"}, None
        engagement_id = _joined(invitation)
        if engagement_id:
            beside = self._beside("get_engagement", "leads", record_id, Identifier=engagement_id)
            engagement = beside.value() if beside else {}
            leads = _contexts(engagement)
            changed = engagement_changed(engagement) if leads["Lead"] != b"null" else None
        return with_members(answer.body, **leads, ChangedAt=_text(lead_changed(invitation, changed))), answer.read_at

    def _benefit_application(self, record_id: str) -> tuple[bytes, datetime]:
        answer = self._get(BENEFITS, "get_benefit_application", "benefit_applications", Identifier=record_id)
        return answer.body, answer.read_at

    def _benefit_allocation(self, record_id: str) -> tuple[bytes, datetime]:
        answer = self._get(BENEFITS, "get_benefit_allocation", "benefit_allocations", Identifier=record_id)
        return answer.body, answer.read_at


# -- when a record changed, as far as lists tell -----------------------------------------------------------------------------


def engagement_changed(engagement: dict[str, Any]) -> str | None:
    """The whole second in which an engagement changed or, if it never did, was made: lists cut fractions off."""
    moment = engagement.get("ModifiedAt") or engagement.get("CreatedAt")
    return f"{moment[:19]}Z" if moment else None


def lead_changed(invitation: dict[str, Any], engagement: str | None) -> str | None:
    """The latest moment in an invitation's life that AWS dates: sent, expired, changed in its engagement. A rejection has no
    date: the status stands in the microseconds, so that another status is another moment.

    Parameters:
        invitation: as listed or as got; both give the same.
        engagement: when the lead's engagement changed (`engagement_changed`).
    """
    status = invitation.get("Status") or ""
    dates = [
        invitation.get("InvitationDate"),
        engagement,
        invitation.get("ExpirationDate") if status == "EXPIRED" else None,
    ]
    known = [date[:19] for date in dates if date]
    return f"{max(known)}.{zlib.crc32(status.encode()) % 1_000_000:06d}Z" if known else None


def _joined(invitation: dict[str, Any]) -> str | None:
    """The engagement that an invitation led to. AWS shows it only to those who accepted."""
    return invitation.get("EngagementId") if invitation.get("Status") == "ACCEPTED" else None


def _contexts(engagement: dict[str, Any]) -> dict[str, bytes]:
    """The leads in an engagement's contexts: the first, which nearly always is the only one, and the others."""
    about = [
        one["Payload"]["Lead"] for one in engagement.get("Contexts") or [] if (one.get("Payload") or {}).get("Lead")
    ]
    return {
        "Lead": json_text.encode(about[0]) if about else b"null",
        "OtherLeads": json_text.encode(about[1:]) if about[1:] else b"null",
    }


def _text(value: str | None) -> bytes:
    return json_text.encode(value)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(f"{text[:19]}+00:00") + timedelta(seconds=1)


SOURCE = SourceType(
    "partner_central",
    PartnerCentralSource,
    PartnerCentralConnector,
    poll_cost=2,
    daily_budget=lambda settings: READS_A_DAY,
    webhook=webhook,
)
