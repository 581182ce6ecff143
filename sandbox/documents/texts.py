"""What the documents say: how-tos for Partner Central and sheets of what the partner sells, as titles, paragraphs and files.

INVENTED: no recording; the how-tos sum up AWS's public documentation in own words.
"""

import html
from dataclasses import dataclass, field

from sandbox.documents.pdf import pdf
from sandbox.world import World

FORMATS = ("md", "txt", "html", "pdf")

HOW_TOS = (
    ("Register an opportunity", (
        "In Partner Central open ACE Opportunities and choose Create. Customer, use case and target close date are required.",
        "The business problem needs at least 20 characters. AWS validates within five working days.",
        "Review status goes Submitted, In review, then Approved, Action Required or Rejected.")),
    ("Accept an AWS referral", (
        "AWS referrals wait in the Invitations tab until Accept By. Contact details show after acceptance.",
        "Rejecting asks for a reason: Customer problem unclear, Unable to support, Duplicate of Partner Referral or Other.")),
    ("Request MAP funding", (
        "MAP needs a linked opportunity in stage Committed. Phases are Assess, Mobilize, Migrate & Modernize.",
        "Business Approval comes before Finance Approval; credits stay Pre-Approved until redeemed.")),
    ("Claim cash for a milestone", (
        "Enter the actual costs for each milestone and attach the proof of execution.",
        "A claim is due 30 days after the project's end; afterwards the fund request expires.",
        "A rejected claim may be edited and submitted again. The invoice must quote the purchase order number.")),
    ("Plan MDF activities", (
        "Market development funds come from the wallet of the half-year. Unused money does not carry over.",)),
    ("Move an opportunity to Launched", (
        "Launched needs the customer's 12-digit AWS account and a close date. The stage cannot go back afterwards.",)),
    ("Stages of an opportunity", (
        "Prospect, Qualified, Technical Validation, Business Validation, Committed, Launched, Closed Lost.",
        "Keep the next step younger than 30 days, or AWS closes the co-sell support.")),
    ("Roles in Partner Central", (
        "Alliance Lead manages users; ACE Manager sees every opportunity, ACE User only the own ones.",)),
    ("Private offers in AWS Marketplace", (
        "A private offer names the buyer's account, the price, and an expiry date. The buyer accepts in the console.",)),
    ("Well-Architected review", (
        "The review takes two workshops. Remediation of high risk issues may be paid with credits.",)),
)  # fmt: skip
PRODUCTS = (
    ("AWS resale", "Consolidated billing with a monthly cost report. 5 % discount on the list price, €0 set-up."),
    ("Managed service", "Monitoring around the clock, patching, backup. Response within 15 minutes for severity 1."),
    ("Support plan", "Named engineer, office hours in English, German and French. Naïve questions welcome."),
)


@dataclass
class Document:
    """One file in the making. `path` is relative to the folder; `notes` are what later edits added."""

    path: str
    title: str
    paragraphs: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def format(self) -> str:
        """Which of `FORMATS`, by the file's ending."""
        return self.path.rpartition(".")[2]

    def content(self) -> bytes:
        """The file."""
        paragraphs = [*self.paragraphs, *self.notes]
        if self.format == "md":
            return (f"# {self.title}\n\n" + "\n\n".join(paragraphs) + "\n").encode()
        if self.format == "html":
            body = "\n".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
            head = f"<head><meta charset='utf-8'><title>{html.escape(self.title)}</title><style>p {{margin: 1em}}</style></head>"
            menu = "<nav><a href='/'>Home</a></nav><script>track('page');</script>"
            main = f"<h1>{html.escape(self.title)}</h1>\n{body}"
            return f"<!doctype html>\n<html>{head}\n<body>{menu}{main}</body></html>\n".encode()
        if self.format == "pdf":
            return pdf(self.title, [self.title, "", *(line for text in paragraphs for line in (*_wrapped(text), ""))])
        return (f"{self.title}\n{'=' * len(self.title)}\n\n" + "\n\n".join(paragraphs) + "\n").encode()


def slug(title: str) -> str:
    """A file name."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in title.lower()).split())


def document(world: World, number: int) -> Document:
    """The `number`-th: how-tos first, then a sheet of each product, then stories of customers."""
    if number < len(HOW_TOS):
        title, paragraphs = HOW_TOS[number]
        return Document(f"partner-central/{slug(title)}.{FORMATS[number % 4]}", title, list(paragraphs))
    number -= len(HOW_TOS)
    if number < len(PRODUCTS):
        title, text = PRODUCTS[number]
        terms = [f"Clause {clause}: {text}" for clause in range(1, 40 if number == 1 else 4)]
        return Document(f"products/{slug(title)}.{('pdf', 'pdf', 'html')[number]}", f"Product sheet: {title}", terms)
    number -= len(PRODUCTS)
    company = world.company(number % world.companies)
    service = PRODUCTS[number % len(PRODUCTS)][0]
    folder = "customers/Büro & Co" if number == 4 else "customers"
    return Document(
        f"{folder}/{slug(company.name)}-{number}.{FORMATS[number % 4]}", f"Customer story: {company.name}",
        [f"{company.name} from {company.city} works in {company.industry.lower()} with {company.employees} people.",
         f"It moved its workloads to AWS and uses our {service}."],
    )  # fmt: skip


def _wrapped(text: str, width: int = 90) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
