"""AWS as a source of the sandbox: `/aws/<tenant>` is the `endpoint_url` of boto3 clients of all four services.

The tenant is podium. Control endpoints of its own: `/_sandbox/aws/<tenant>/limits` and `/_sandbox/aws/<tenant>/rights`.
"""

import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.aws import marketplace, selling
from sandbox.aws.feed import COLUMNS
from sandbox.aws.limits import Limits
from sandbox.aws.living import Life
from sandbox.aws.moments import iso, nanos
from sandbox.aws.services import NAMES, operation, targets, validate
from sandbox.aws.shop import build
from sandbox.aws.wire import Answer, Refused, authenticate, invalid, refuse, respond
from sandbox.collection import Record
from sandbox.context import Context
from sandbox.world import World

TENANT = "podium"
OPERATIONS = {
    "ListOpportunities": (selling.list_opportunities, "opportunities"),
    "GetOpportunity": (selling.get_opportunity, "opportunities"),
    "GetAwsOpportunitySummary": (selling.get_aws_opportunity_summary, "opportunities"),
    "ListSolutions": (selling.list_solutions, "solutions"),
    "ListEngagements": (selling.list_engagements, "engagements"),
    "GetEngagement": (selling.get_engagement, "engagements"),
    "ListEngagementMembers": (selling.list_engagement_members, "engagements"),
    "ListEngagementInvitations": (selling.list_engagement_invitations, "leads"),
    "GetEngagementInvitation": (selling.get_engagement_invitation, "leads"),
    "ListBenefitApplications": (selling.list_benefit_applications, "benefit_applications"),
    "GetBenefitApplication": (selling.get_benefit_application, "benefit_applications"),
    "ListBenefitAllocations": (selling.list_benefit_allocations, "benefit_allocations"),
    "GetBenefitAllocation": (selling.get_benefit_allocation, "benefit_allocations"),
    "ListEntities": (marketplace.list_entities, "products"),
    "DescribeEntity": (marketplace.describe_entity, "products"),
    "SearchAgreements": (marketplace.search_agreements, "agreements"),
    "DescribeAgreement": (marketplace.describe_agreement, "agreements"),
    "GetAgreementTerms": (marketplace.get_agreement_terms, "agreements"),
    "GetAgreementEntitlements": (marketplace.get_agreement_entitlements, "agreements"),
}
"""Operation -> what answers it, and the table that faults and counters know it under."""


class AwsSource:
    """The AWS account of podium."""

    def __init__(self, context: Context) -> None:
        self.context = context
        options = context.options
        self.temporary = None if options.folder else tempfile.mkdtemp(prefix="sandbox-aws-")
        folder = Path(options.folder or self.temporary or "") / TENANT / "marketplace"
        world = World(TENANT, options.seed, companies=max(8, round(24 * options.scale)))
        self.shop = build(world, context.clock.start, options.amount(80), folder, context.identities)
        self.life = Life(self.shop)
        self.limits = Limits()
        self.forbidden: set[str] = set()
        self.refused: set[tuple[str, str]] = set()
        """Operation and id of records that are refused while others are not."""
        self.pages: dict[str, tuple[Any, bytes, bytes]] = {}
        """Of each listing the token asked with last, its page and the page before it, for the fault that repeats that."""

    # -- the story -----------------------------------------------------------------------------------------------------

    def advance(self, to: datetime, tenant: str | None) -> dict[str, Any]:
        """Let time pass in podium's account."""
        return {TENANT: self.life.live(to)} if tenant in (None, TENANT) else {}

    def describe(self) -> dict[str, Any]:
        """Records per entity, and the folder in which the metering feed lies."""
        counts = {name: len(table) for name, table in self.shop.tables().items()}
        return {
            TENANT: {
                **counts,
                "meter_usage": len(self.shop.feed.rows),
                "meter_usage_folder": str(self.shop.feed.folder),
            }
        }

    def close(self) -> None:
        """Remove the feed where nobody named a folder for it."""
        if self.temporary:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def truth(self, tenant: str, entity: str) -> list[Record]:
        """Every record of the AWS catalog or the Marketplace as stored; `agreement_terms` by agreement."""
        if entity == "meter_usage":
            return list(self.shop.feed.rows)
        if entity == "agreement_terms":
            return [{"agreementId": key, "acceptedTerms": terms} for key, terms in self.shop.terms.items()]
        return list(self.shop.tables()[entity])

    def change(self, tenant: str, entity: str, put: list[Record], delete: list[int | str]) -> list[int | str]:
        """Create or patch records, stamped now unless they bring their own stamp; delete for good.

        A patch reaches into structures. A change of `aws_opportunity_summaries` moves the opportunity, as AWS's own do.
        New rows of `meter_usage` come as one more file.
        """
        now = self.context.clock.now()
        if entity == "meter_usage":
            rows = [dict.fromkeys(COLUMNS, "") | {"sent_at": iso(now)} | row for row in put]
            self.shop.feed.write(f"meter_usage_{now:%Y-%m-%d_%H%M%S%f}.csv", rows, now)
            return [row["metering_record_id"] for row in rows]
        table = self.shop.tables()[entity]
        stamps: dict[str, Any] = {"LastModifiedDate": iso(now), "UpdatedAt": iso(now), "ModifiedAt": nanos(now),
                                  "lastUpdateTime": now.timestamp()}  # fmt: skip
        ids: list[int | str] = []
        for patch in put:
            old = table.rows.get(patch.get(table.id_key, "")) or self._fresh(entity, now)
            record = _merged(old, patch)
            if record[table.id_key] != old[table.id_key]:
                self._renamed(entity, old[table.id_key], record[table.id_key])
            if table.modified_key and table.modified_key not in patch:
                record[table.modified_key] = stamps[table.modified_key]
            table.put(record)
            ids.append(record[table.id_key])
            if entity == "aws_opportunity_summaries":
                touched = self.shop.tables()["opportunities"]
                touched.put({**touched.rows[ids[-1]], "LastModifiedDate": iso(now)})
        for record_id in delete:
            table.remove(record_id)
        return ids

    def _renamed(self, entity: str, made: str, wanted: str) -> None:
        """A fresh record goes by the id that was asked for."""
        table = self.shop.tables()[entity]
        if made in table.rows:
            table.remove(made)
        if entity == "opportunities":
            summaries = self.shop.catalogs["AWS"].aws_summaries
            summaries.put({**summaries.rows[made], "RelatedOpportunityId": wanted})
            summaries.remove(made)

    def _fresh(self, entity: str, now: datetime) -> Record:
        """A new record of the story, for a patch that names no known one."""
        catalog, tables = self.shop.catalogs["AWS"], self.shop.tables()
        number = len(tables[entity])
        if entity == "opportunities":
            return catalog.opportunities.rows[self.shop.add_opportunity(catalog, number, now, now)]
        if entity == "invitations":
            return catalog.invitations.rows[self.shop.add_invitation(catalog, number, now, "PENDING")]
        if entity == "engagements":
            return self.shop.add_engagement(catalog, now)
        if entity == "solutions":
            return catalog.partner.solution(number, now)
        if entity == "benefit_applications":
            return catalog.partner.application(number, now, now, "IN_REVIEW", catalog.partner.opportunity_id(0))
        if entity == "benefit_allocations":
            return catalog.partner.allocation(number, next(iter(catalog.applications)), now)
        if entity == "products":
            return self.shop.market.product(number, now)
        if entity == "agreements":
            return self.shop.agreements.rows[self.shop.add_agreement(now, now)]
        raise KeyError(entity)

    # -- routes --------------------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """One address for awsJson, one per operation for rest-json, and the controls."""
        return [
            Route("/aws/{tenant}", self._json, methods=["POST"]),
            Route("/aws/{tenant}/", self._json, methods=["POST"]),
            Route("/aws/{tenant}/ListEntities", self._rest, methods=["POST"]),
            Route("/aws/{tenant}/DescribeEntity", self._rest, methods=["GET"]),
            Route("/_sandbox/aws/{tenant}/limits", self._limits, methods=["GET", "POST"]),
            Route("/_sandbox/aws/{tenant}/rights", self._rights, methods=["POST"]),
        ]

    async def _json(self, request: Request) -> Response:
        prefix, _, name = request.headers.get("x-amz-target", "").rpartition(".")
        service = targets().get(prefix, "")
        try:
            given = orjson.loads(await request.body() or b"{}")
        except ValueError:
            given = None
        return await self._answer(request, service, name, given)

    async def _rest(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        if request.method == "GET":
            given: Any = {key[0].upper() + key[1:]: value for key, value in request.query_params.items()}
        else:
            try:
                given = orjson.loads(await request.body() or b"{}")
            except ValueError:
                given = None
        return await self._answer(request, "marketplace-catalog", name, given)

    async def _answer(self, request: Request, service: str, name: str, given: Any) -> Response:
        tenant, entity = request.path_params["tenant"], OPERATIONS.get(name, (None, "-"))[1]
        try:
            answer = self._perform(request, await request.body(), service, name, given)
            response, rows, failed = respond(service, answer.body), answer.rows, False
        except Refused as refused:
            response, rows, failed = refuse(service, refused), 0, True
        if not failed and name.startswith(("List", "Search")):
            self._note_page(name, given.get("NextToken") or given.get("nextToken"), bytes(response.body))
        own = self._words(service, name) if self.context.faults.rules else None
        return await self.context.deliver(response, tenant, entity, name or "-", rows, failed, own)

    def _perform(self, request: Request, body: bytes, service: str, name: str, given: Any) -> Answer:
        if request.path_params["tenant"] != TENANT:
            raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
        if not service or name not in OPERATIONS:
            raise Refused("UnknownOperationException", f"The operation {name or '(none)'} is not known.")
        authenticate(request, body)
        if name in self.forbidden:
            who = "arn:aws:iam::111111111111:user/revlake"
            raise Refused(
                "AccessDeniedException", f"User: {who} is not authorized to perform: {_action(service, name)}"
            )
        if not self.limits.take(service, name, self.context.clock.now().timestamp()):
            raise Refused("ThrottlingException", "Rate exceeded")
        if not isinstance(given, dict):
            raise Refused("SerializationException", "The body is no JSON object.")
        shape: Any = operation(service, name).input_shape
        violations = validate(shape, given)
        if violations:
            told = f"{len(violations)} validation error{'s' * (len(violations) > 1)} detected: "
            raise Refused("ValidationException", told + "; ".join(one.message for one in violations), violations)
        if any((name, value) in self.refused for value in given.values() if isinstance(value, str)):
            raise Refused("AccessDeniedException", f"You are not authorized to perform {name} on this resource.")
        return OPERATIONS[name][0](self.shop, given)

    def _words(self, service: str, name: str) -> Mapping[str, Response]:
        """How AWS words each fault that it can report itself; the page before stands in for `repeat`."""
        known = service if service in NAMES else NAMES[0]
        expired = Refused("ExpiredTokenException", "The security token included in the request is expired")
        words = {
            "429": Refused("ThrottlingException", "Rate exceeded"), "expired": expired,
            "500": Refused("InternalServerException", "An internal error occurred."),
            "database_down": Refused("InternalServerException", "The service is temporarily unable to answer."),
            "401": Refused("UnrecognizedClientException", "The security token included in the request is invalid."),
            "403": Refused("AccessDeniedException", f"User: revlake is not authorized to perform: {_action(known, name)}"),
            "expired:cursor": invalid("NextToken", "The provided NextToken is invalid or has expired."),
        }  # fmt: skip
        answers = {kind: refuse(known, refused) for kind, refused in words.items()}
        if name in self.pages:
            answers["repeat"] = respond(known, self.pages[name][2])
        return answers

    def _note_page(self, name: str, token: Any, page: bytes) -> None:
        last, current, before = self.pages.get(name, (None, page, page))
        self.pages[name] = (token, page, before if token == last else current)

    # -- controls ------------------------------------------------------------------------------------------------------

    async def _limits(self, request: Request) -> Response:
        """POST `{"about": null, "per_second": 10, "burst": 100, "per_day": 100000}`: a null lifts a limit (`about`: a name of
        `limits.RATES`; null: all); GET tells them."""
        if request.method == "POST":
            body = await request.json()
            about = body.pop("about", None)
            try:
                self.limits.change(
                    about, body.pop("per_second", None), body.pop("burst", None), body.pop("per_day", None)
                )
            except KeyError:
                return Response(f"no limit about {about!r}", 400)
            if body:
                return Response(f"unknown: {', '.join(body)}", 400)
        return Response(orjson.dumps(self.limits.describe()), media_type="application/json")

    async def _rights(self, request: Request) -> Response:
        """`{"operation": "ListBenefitApplications", "allow": false}` takes a right away, `true` gives it back; with
        `"record": "O1"` for this record alone."""
        body = await request.json()
        if body.get("operation") not in OPERATIONS:
            return Response(f"unknown operation: {body.get('operation')}", 400)
        if "record" in body:
            about = (body["operation"], body["record"])
            (self.refused.discard if body.get("allow", True) else self.refused.add)(about)
            return Response(orjson.dumps(sorted(self.refused)), media_type="application/json")
        (self.forbidden.discard if body.get("allow", True) else self.forbidden.add)(body["operation"])
        return Response(orjson.dumps(sorted(self.forbidden)), media_type="application/json")


def _action(service: str, name: str) -> str:
    return f"{'partnercentral' if service.startswith('partnercentral') else 'aws-marketplace'}:{name}"


def _merged(record: Record, patch: Record) -> Record:
    """The record with the patch's members; structures are merged, everything else is replaced."""
    merged = dict(record)
    for name, value in patch.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
