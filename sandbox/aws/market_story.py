"""What podium sells on AWS Marketplace: catalog entities, and the agreements with their terms.

INVENTED: no recording shows these; the shapes are the service models', a product's document is the usual one of a SaaS listing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import orjson

from sandbox.aws.moments import iso
from sandbox.aws.partner_story import ACCOUNT, payer_account, short_id
from sandbox.collection import Record
from sandbox.world import World

PRODUCT_TYPES = ("SaaSProduct", "AmiProduct", "ContainerProduct", "DataProduct", "MachineLearningProduct",
                 "ProfessionalServicesProduct")  # fmt: skip
ENTITY_TYPES = (*PRODUCT_TYPES, "Offer", "OfferSet", "ResaleAuthorization")
SUMMARIES = {name: f"{name}Summary" for name in ENTITY_TYPES if name != "ProfessionalServicesProduct"}
DIMENSIONS = ("hosts", "requests", "gigabytes")


@dataclass(frozen=True)
class Market:
    """Makes podium's Marketplace records."""

    world: World
    start: datetime

    def product(self, number: int, modified: datetime, revision: int = 1) -> Record:
        """A catalog entity as DescribeEntity shows it, without the details a second time as text."""
        random = self.world.random("marketplace product", number)
        kind = "SaaSProduct" if number % 2 == 0 else PRODUCT_TYPES[number // 2 % len(PRODUCT_TYPES)]
        noun = random.choice(("Observability", "Data Lake", "Cost Watch", "Kubernetes Guard", "Edge Cache — «Größe M»"))
        record_id = f"prod-{short_id(random, 13)}"
        state = random.choice(("Public", "Public", "Limited", "Draft"))
        document = {
            "Description": {
                "ProductTitle": f"Podium {noun} {number + 1}", "ProductCode": short_id(random, 25), "Visibility": state,
                "ShortDescription": f"{noun}, run by Podium.", "Manufacturer": "Podium Cloud Ltd", "ProductState": "Active",
                "Sku": f"PC-{number:04d}" if random.random() < 0.6 else None, "Highlights": ["Runs itself"],
                "SearchKeywords": [], "Categories": [random.choice(("Monitoring", "Databases", "Security"))],
            },
            "RegionAvailability": {"Restrict": [], "Regions": ["us-east-1", "eu-central-1"], "FutureRegionSupport": "All"},
            "Dimensions": [{"Name": name.title(), "Description": f"Number of {name}", "Key": name, "Unit": "Units",
                            "Types": ["Metered"]} for name in DIMENSIONS[: 1 + number % 3]],
            "SupportInformation": {"Description": "support@podium.example", "Resources": []},
            "PromotionalResources": {"LogoUrl": "https://podium.example/logo.png", "Videos": []},
        }  # fmt: skip
        return {
            "EntityId": record_id, "EntityType": kind, "Revision": revision, "LastModifiedDate": iso(modified),
            "EntityArn": f"arn:aws:aws-marketplace:us-east-1:{ACCOUNT}:AWSMarketplace/{kind}/{record_id}",
            "DetailsDocument": document,
        }  # fmt: skip

    def agreement(self, number: int, accepted: datetime, updated: datetime, products: list[Record]) -> Record:
        """Who bought what, as DescribeAgreement shows it, with what only SearchAgreements tells."""
        random = self.world.random("marketplace agreement", number)
        product = random.choice(products)
        ends = accepted + timedelta(days=365)
        status = "ACTIVE" if ends > updated else random.choice(("EXPIRED", "RENEWED", "TERMINATED"))
        record_id = f"agmt-{short_id(random, 24)}"
        return {
            "agreementId": record_id, "agreementType": "PurchaseAgreement", "status": status,
            "acceptor": {"accountId": payer_account(self.world, number % self.world.companies)},
            "proposer": {"accountId": ACCOUNT}, "acceptanceTime": accepted.timestamp(), "startTime": accepted.timestamp(),
            "endTime": ends.timestamp() if number % 5 else None, "lastUpdateTime": updated.timestamp(),
            "proposalSummary": {"resources": [{"id": product["EntityId"], "type": product["EntityType"]}],
                                "offerId": f"offer-{short_id(random, 13)}"},
            "estimatedCharges": {"currencyCode": "USD", "agreementValue": f"{random.lognormvariate(9, 1):.2f}"},
            "entitlements": [{"licenseArn": f"arn:aws:license-manager::294406891311:license:l-{short_id(random, 32)}"}],
            "initialAgreementId": record_id,
            "endTimeBehavior": {"type": "RENEW" if number % 2 else "EXPIRE"},
        }  # fmt: skip

    def terms(self, number: int, agreement: Record) -> list[Record]:
        """What GetAgreementTerms lists."""
        random = self.world.random("marketplace terms", number)
        names = iter(f"term-{short_id(random, 20)}" for _ in range(9))
        charges = agreement["estimatedCharges"]
        found: list[Record] = [
            {"legalTerm": {"type": "LegalTerm", "id": next(names), "documents": [
                {"type": "StandardEula", "url": "https://podium.example/eula.pdf", "version": "2023-01-01"}]}},
            {"supportTerm": {"type": "SupportTerm", "id": next(names), "refundPolicy": "No refunds"}},
            {"validityTerm": {"type": "ValidityTerm", "id": next(names), "agreementDuration": "P365D",
                              "agreementStartDate": agreement["startTime"], "agreementEndDate": agreement["endTime"]}},
        ]  # fmt: skip
        if number % 2:
            found.append(
                {"renewalTerm": {"type": "RenewalTerm", "id": next(names), "configuration": {"enableAutoRenew": True}}}
            )
            card = [{"dimensionKey": name, "price": f"{random.uniform(0.01, 2):.4f}"} for name in DIMENSIONS]
            found.append({"usageBasedPricingTerm": {"type": "UsageBasedPricingTerm", "id": next(names), "currencyCode": "USD",
                                                    "rateCards": [{"rateCard": card}]}})  # fmt: skip
        else:
            grant = {"dimensionKey": "hosts", "maxQuantity": 10}
            found.append({"fixedUpfrontPricingTerm": {"type": "FixedUpfrontPricingTerm", "id": next(names), "duration": "P365D",
                                                      "currencyCode": charges["currencyCode"], "grants": [grant],
                                                      "price": charges["agreementValue"]}})  # fmt: skip
        return found


def metered(number: int) -> bool:
    """Whether usage is billed under the agreement of this number (see `Market.terms`)."""
    return number % 2 == 1


def entity_summary(record: Record) -> Record:
    """The short form of ListEntities."""
    described = record["DetailsDocument"]["Description"]
    title, visibility, kind = described["ProductTitle"], described["Visibility"], record["EntityType"]
    named = {name: record[name] for name in ("EntityType", "EntityId", "EntityArn", "LastModifiedDate")}
    short = {SUMMARIES[kind]: {"ProductTitle": title, "Visibility": visibility}} if kind in SUMMARIES else {}
    return {**named, "Name": title, "Visibility": visibility, **short}


def entity_detail(record: Record) -> Record:
    """The answer of DescribeEntity."""
    document = record["DetailsDocument"]
    return {
        "EntityType": f"{record['EntityType']}@1.0", "EntityIdentifier": f"{record['EntityId']}@{record['Revision']}",
        "EntityArn": record["EntityArn"], "LastModifiedDate": record["LastModifiedDate"],
        "Details": orjson.dumps(document).decode(), "DetailsDocument": document,
    }  # fmt: skip


def agreement_summary(record: Record) -> Record:
    """The short form of SearchAgreements."""
    hidden = ("estimatedCharges", "endTimeBehavior")
    behavior: dict[str, Any] = record.get("endTimeBehavior") or {}
    more = {"endTimeBehaviorType": behavior.get("type"), "endTimeBehaviorReasonCode": behavior.get("reasonCode")}
    short = {name: value for name, value in record.items() if name not in hidden} | more
    return {name: value for name, value in short.items() if value is not None}


def agreement_detail(record: Record) -> Record:
    """The answer of DescribeAgreement."""
    hidden = ("lastUpdateTime", "entitlements")
    return {name: value for name, value in record.items() if name not in hidden and value is not None}


def usage_row(random: Random, agreement: Record, product_code: str, hour: datetime, sent: datetime) -> dict[str, str]:
    """One line of the seller's metering feed."""
    number = random.randbytes(16).hex()
    quantity = random.randrange(1, 5000) if random.random() < 0.98 else 2_147_483_647
    return {
        "metering_record_id": f"{number[:8]}-{number[8:12]}-{number[12:16]}-{number[16:20]}-{number[20:]}",
        "product_code": product_code, "license_arn": agreement["entitlements"][0]["licenseArn"],
        "customer_identifier": "" if random.random() < 0.5 else short_id(random, 11),
        "customer_aws_account_id": agreement["acceptor"]["accountId"], "dimension": random.choice(DIMENSIONS),
        "timestamp": iso(hour), "quantity": str(quantity),
        "status": random.choice(("Success",) * 18 + ("CustomerNotSubscribed", "DuplicateRecord")),
        "allocations": orjson.dumps([{"Tags": [{"Key": "team", "Value": "a;b, \"c\""}], "AllocatedUsageQuantity": quantity}]
                                    ).decode() if random.random() < 0.1 else "",
        "sent_at": iso(sent),
    }  # fmt: skip
