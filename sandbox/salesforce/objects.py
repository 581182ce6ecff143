"""Which objects the org has and which fields each of them.

One line a field: its API name, its type and what else matters: `>Account` (refers to), `(BillingAddress)` (part of
that compound field), `=formula` (calculated), `values=A|B` (a picklist). Lengths, labels and the values of picklists
are INVENTED where the recorded columns (../shared/fixtures/salesforce) show none; the names are the real ones.
"""

import re
from dataclasses import dataclass
from typing import Any

AUDIT = """
CreatedDate datetime
CreatedById reference >User
LastModifiedDate datetime
LastModifiedById reference >User
SystemModstamp datetime
"""
_STAGES = (
    "Prospecting|Qualification|Needs Analysis|Value Proposition|Proposal/Price Quote|Negotiation/Review"
    "|Closed Won|Closed Lost"
)
_SOURCES = "Web|Phone Inquiry|Partner Referral|Purchased List|Other"


def address(name: str, prefix: str) -> str:
    """The lines of an address: its parts, and the compound field that the server makes of them."""
    parts = ("Street textarea", "City string", "State string", "PostalCode string", "Country string")
    numbers = ("Latitude double", "Longitude double", "GeocodeAccuracy picklist")
    lines = [f"{prefix}{part} ({name})" for part in (*parts, *numbers)]
    return "\n".join([*lines[:-1], f"{lines[-1]} values=Address|Street|City", f"{name} address"])


OBJECTS = {
    "Account": ("001", f"""
Id id
IsDeleted boolean
MasterRecordId reference >Account
Name string (Name)
Type picklist values=Prospect|Customer - Direct|Customer - Channel|Other
ParentId reference >Account
{address("BillingAddress", "Billing")}
{address("ShippingAddress", "Shipping")}
Phone phone
Fax phone
AccountNumber string
Website url
PhotoUrl url
Sic string
SicDesc string
RecordTypeId reference >RecordType
Industry picklist values=Software|Logistics|Foods|Robotics|Textiles|Energy|Pharma|Furniture|Design|Trading|Other
AnnualRevenue currency
NumberOfEmployees int
Ownership picklist values=Public|Private|Subsidiary|Other
TickerSymbol string
Description textarea
Rating picklist values=Hot|Warm|Cold
Site string
OwnerId reference >User
{AUDIT}
LastActivityDate date
LastViewedDate datetime
LastReferencedDate datetime
Jigsaw string
AccountSource picklist values={_SOURCES}
ERP_Number__c string
Payment_Terms_Days__c double
Products_Used__c multipicklist values=Desks|Chairs|Lamps|Storage
"""),
    "Contact": ("003", f"""
Id id
IsDeleted boolean
MasterRecordId reference >Contact
AccountId reference >Account
LastName string (Name)
FirstName string (Name)
Salutation picklist (Name) values=Mr.|Ms.|Dr.|Prof.
Name string (Name)
{address("OtherAddress", "Other")}
{address("MailingAddress", "Mailing")}
Phone phone
Fax phone
MobilePhone phone
HomePhone phone
OtherPhone phone
AssistantName string
AssistantPhone phone
ReportsToId reference >Contact
PhotoUrl url
Email email
Title string
Department string
LeadSource picklist values={_SOURCES}
Birthdate date
Description textarea
OwnerId reference >User
HasOptedOutOfEmail boolean
DoNotCall boolean
{AUDIT}
LastActivityDate date
LastViewedDate datetime
LastReferencedDate datetime
EmailBouncedReason string
EmailBouncedDate datetime
IsEmailBounced boolean
Languages__c multipicklist values=de|en|fr
"""),
    "Opportunity": ("006", f"""
Id id
IsDeleted boolean
AccountId reference >Account
RecordTypeId reference >RecordType
IsPrivate boolean
Name string
Description textarea
StageName picklist values={_STAGES}
Amount currency
Probability percent
ExpectedRevenue currency
TotalOpportunityQuantity double
CloseDate date
Type picklist values=Existing Business|New Business
NextStep string
LeadSource picklist values={_SOURCES}
IsClosed boolean
IsWon boolean
ForecastCategory picklist values=Omitted|Pipeline|BestCase|Forecast|Closed
ForecastCategoryName picklist values=Omitted|Pipeline|Best Case|Commit|Closed
CampaignId reference >Campaign
HasOpportunityLineItem boolean
Pricebook2Id reference >Pricebook2
OwnerId reference >User
{AUDIT}
LastActivityDate date
LastViewedDate datetime
LastReferencedDate datetime
PushCount int
LastStageChangeDate datetime
FiscalQuarter int
FiscalYear int
Fiscal string
ContactId reference >Contact
HasOpenActivity boolean
HasOverdueTask boolean
Region__c picklist values=EMEA|AMER|APAC
Competitors__c multipicklist values=Acme|Globex|Initech
Discount__c percent
Budget_Confirmed__c boolean
Seats__c double
Go_Live__c date
Last_Contact__c datetime
Partner__c reference >Account
Legacy_Number__c double
Site__Latitude__s double (Site__c)
Site__Longitude__s double (Site__c)
Site__c location
Days_Open__c double =TODAY() - DATEVALUE(CreatedDate)
Account_Name__c string =Account.Name
"""),
    "User": ("005", f"""
Id id
Username string
LastName string (Name)
FirstName string (Name)
Name string (Name)
CompanyName string
Division string
Department string
Title string
{address("Address", "")}
Email email
Phone phone
MobilePhone phone
Alias string
CommunityNickname string
IsActive boolean
TimeZoneSidKey picklist values=Europe/Berlin|America/Chicago
UserRoleId reference >UserRole
LocaleSidKey picklist values=de_DE|en_US
EmailEncodingKey picklist values=UTF-8
ProfileId reference >Profile
UserType picklist values=Standard|PowerPartner
LanguageLocaleKey picklist values=de|en_US
EmployeeNumber string
ManagerId reference >User
LastLoginDate datetime
Extension phone
Fax phone
AboutMe textarea
FederationIdentifier string
ForecastEnabled boolean
ReceivesInfoEmails boolean
ReceivesAdminInfoEmails boolean
DelegatedApproverId reference >Group,User
ContactId reference >Contact
AccountId reference >Account
LastViewedDate datetime
LastReferencedDate datetime
{AUDIT}
"""),
    "Lead": ("00Q", f"""
Id id
IsDeleted boolean
MasterRecordId reference >Lead
LastName string (Name)
FirstName string (Name)
Salutation picklist (Name) values=Mr.|Ms.|Dr.|Prof.
Name string (Name)
Title string
Company string
{address("Address", "")}
Phone phone
MobilePhone phone
Email email
Website url
Description textarea
LeadSource picklist values={_SOURCES}
Status picklist values=Open - Not Contacted|Working - Contacted|Closed - Converted|Closed - Not Converted
Industry picklist values=Software|Logistics|Foods|Other
Rating picklist values=Hot|Warm|Cold
AnnualRevenue currency
NumberOfEmployees int
OwnerId reference >Group,User
IsConverted boolean
ConvertedDate date
ConvertedAccountId reference >Account
ConvertedContactId reference >Contact
ConvertedOpportunityId reference >Opportunity
IsUnreadByOwner boolean
{AUDIT}
LastActivityDate date
"""),
    "Case": ("500", f"""
Id id
IsDeleted boolean
MasterRecordId reference >Case
CaseNumber string
ContactId reference >Contact
AccountId reference >Account
SuppliedEmail email
Type picklist values=Mechanical|Electrical|Electronic|Structural|Other
Status picklist values=New|Working|Escalated|Closed
Reason picklist values=Installation|Performance|Breakdown|Other
Origin picklist values=Phone|Email|Web
Subject string
Priority picklist values=High|Medium|Low
Description textarea
IsClosed boolean
ClosedDate datetime
IsEscalated boolean
OwnerId reference >Group,User
{AUDIT}
"""),
    "Task": ("00T", f"""
Id id
WhoId reference >Contact,Lead
WhatId reference >Account,Opportunity
Subject string
ActivityDate date
Status picklist values=Not Started|In Progress|Completed
Priority picklist values=High|Normal|Low
OwnerId reference >Group,User
IsDeleted boolean
IsClosed boolean
IsArchived boolean
{AUDIT}
"""),
    "Subscription__c": ("a0X", f"""
Id id
OwnerId reference >Group,User
IsDeleted boolean
Name string
{AUDIT}
Account__c reference >Account
Opportunity__c reference >Opportunity
Seats__c double
Monthly_Fee__c currency
Discount__c percent
Auto_Renew__c boolean
Starts__c date
Renewed__c datetime
Plan__c picklist values=Basic|Plus|Enterprise
Add_Ons__c multipicklist values=Support|Training|Backup
Contact_Email__c email
Remarks__c textarea
"""),
    "OpportunityFieldHistory": ("017", """
Id id
IsDeleted boolean
OpportunityId reference >Opportunity
CreatedById reference >User
CreatedDate datetime
Field picklist values=StageName|Amount
DataType picklist values=DynamicEnum|Currency
OldValue anyType
NewValue anyType
"""),
    "Attachment": ("00P", f"""
Id id
IsDeleted boolean
ParentId reference >Account,Opportunity
Name string
IsPrivate boolean
ContentType string
BodyLength int
Body base64
OwnerId reference >User
{AUDIT}
Description string
"""),
    "Price__x": ("x00", """
Id id
ExternalId string
DisplayUrl url
Product__c string
List_Price__c double
"""),
}  # fmt: skip
"""Object -> key prefix and fields. `Price__x` is an external object: no audit fields at all."""

LENGTHS = {
    "id": 18, "reference": 18, "string": 255, "picklist": 255, "textarea": 32000, "email": 80, "phone": 40, "url": 255,
    "multipicklist": 4099, "anyType": 255,
}  # fmt: skip
PRECISION = {"currency": (18, 2), "percent": (16, 2), "double": (18, 6)}
SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "currency": "xsd:double", "percent": "xsd:double",
    "double": "xsd:double", "int": "xsd:int", "date": "xsd:date", "datetime": "xsd:dateTime",
    "base64": "xsd:base64Binary",
    "address": "urn:address", "location": "urn:location", "anyType": "xsd:anyType",
}  # fmt: skip
COMPOUND = ("address", "location")


@dataclass(frozen=True)
class Field:
    """One field as `describe` tells it."""

    name: str
    type: str
    compound: str | None = None
    refers_to: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    formula: str | None = None

    @property
    def custom(self) -> bool:
        """Made by the org's own administrators."""
        return self.name.endswith(("__c", "__s"))

    @property
    def empty(self) -> Any:
        """What a record without a value has."""
        return False if self.type == "boolean" else None

    def describe(self) -> dict[str, Any]:
        """The entry in `fields` of a describe."""
        length = LENGTHS.get(self.type, 0)
        precision, scale = PRECISION.get(self.type, (0, 0))
        relationship = None
        if self.refers_to:
            relationship = self.name.removesuffix("Id") if not self.custom else self.name.replace("__c", "__r")
        return {
            "aggregatable": self.type not in COMPOUND, "autoNumber": False, "byteLength": length * 3,
            "calculated": self.formula is not None, "calculatedFormula": self.formula,
            "compoundFieldName": self.compound,
            "createable": self.formula is None and self.type not in ("id", *COMPOUND), "custom": self.custom,
            "defaultValue": None, "digits": 9 if self.type == "int" else 0,
            "filterable": self.type not in (*COMPOUND, "base64"),
            "groupable": self.type in ("string", "picklist", "reference", "boolean", "date", "int"),
            "label": label(self.name), "length": length, "name": self.name, "nameField": self.name == "Name",
            "nillable": self.type not in ("id", "boolean"),
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}
                for value in self.values
            ],
            "precision": precision, "referenceTo": list(self.refers_to), "relationshipName": relationship,
            "restrictedPicklist": False, "scale": scale, "soapType": SOAP.get(self.type, "xsd:string"),
            "sortable": self.type not in (*COMPOUND, "base64", "textarea"), "type": self.type, "unique": False,
            "updateable": self.formula is None and self.type not in ("id", *COMPOUND),
        }  # fmt: skip


def label(name: str) -> str:
    """What a person sees: words. INVENTED, but for the way in which custom fields are named after their labels."""
    if name.endswith(("__c", "__s", "__x")):
        return name[:-3].replace("__", " (").replace("_", " ") + (")" if "__" in name[:-3] else "")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removesuffix("Id") or "Record ID").strip()


_LINE = re.compile(
    r"(?P<name>\w+) (?P<type>\w+)(?: >(?P<to>[\w,]+))?(?: \((?P<compound>\w+)\))?"
    r"(?: values=(?P<values>[^=]+))?(?: =(?P<formula>.+))?"
)


def parse_field(line: str) -> Field:
    """A field from its line."""
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise ValueError(f"not a field: {line!r}")
    to, values = found["to"], found["values"]
    return Field(
        found["name"], found["type"], found["compound"], tuple(to.split(",")) if to else (),
        tuple(values.split("|")) if values else (), found["formula"],
    )  # fmt: skip


def fields_of(name: str) -> dict[str, Field]:
    """The fields of an object when the story begins, by name."""
    lines = OBJECTS[name][1].split("\n")
    return {field.name: field for field in (parse_field(line) for line in lines if line.strip())}


def snake(name: str) -> str:
    """The object in snake_case, as tests and traffic name it: `OpportunityFieldHistory` ->
    `opportunity_field_history`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
