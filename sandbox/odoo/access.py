"""Who may what: logins, model rights, record rules and fields kept for groups.

Every database has the same three logins: `admin` (everything), `lowpriv` (no sales, no accounting) and `salesown`
(own documents only). Tests change rights at run time through `set_rights`.
"""

from typing import Any

from sandbox.odoo.errors import access_denied, access_error, missing
from sandbox.odoo.schema import DESCRIPTIONS

ADMIN, LOWPRIV, SALESOWN = 2, 8, 9
NAMES = {ADMIN: "Mitchell Admin", LOWPRIV: "Lea Lowpriv", SALESOWN: "Sally Own Docs"}

_LOWPRIV_DENIED = ("account.", "c.", "crm.", "pos.", "sale.")
_VERBS = {"read": "access", "write": "modify", "create": "create", "unlink": "delete"}
_GROUPS = {
    ("crm.lead", "read"): ["Sales/Administrator", "Sales/User: Own Documents Only"],
    ("account.move", "read"): [
        "Invoicing/Billing",
        "Invoicing/Billing Administrator",
        "Point of Sale/User",
        "Sales/User: Own Documents Only",
        "Technical/Show Accounting Features - Readonly",
        "User types/Portal",
    ],
}
"""Groups the recorded messages list; other models (not recorded) name the administrators."""

_OWNERS = {
    "account.move": "invoice_user_id",
    "crm.lead": "user_id",
    "sale.order": "user_id",
    "sale.order.line": "salesman_id",
}
"""Whose documents `salesown` sees: its own and nobody's."""

_BILLING = "'Technical / Show Accounting Features - Readonly', 'Invoicing / Billing'"
RESTRICTED_FIELDS: dict[str, dict[str, str]] = {
    "res.partner": dict.fromkeys(
        ("credit", "debit", "credit_limit", "total_invoiced", "unreconciled_aml_ids", "days_sales_outstanding"),
        _BILLING,
    ),
}
"""Fields only some groups see, and those groups as the message names them. `credit` was recorded."""


class Access:
    """Logins and rights of one database."""

    def __init__(self) -> None:
        self.logins = {"admin": ADMIN, "lowpriv": LOWPRIV, "salesown": SALESOWN}
        self.denied: dict[tuple[int, str], bool] = {}
        self.rules: dict[tuple[int, str], list[Any]] = {}
        for model, owner in _OWNERS.items():
            self.rules[SALESOWN, model] = ["|", (owner, "=", SALESOWN), (owner, "=", False)]

    def login(self, login: str, password: str) -> int | None:
        """The uid, or None. The password is the login's name; `<login>-api-key` is its API key."""
        uid = self.logins.get(login)
        return uid if uid is not None and password in (login, f"{login}-api-key") else None

    def by_key(self, key: str) -> int | None:
        """The uid an API key belongs to."""
        return self.logins.get(key.removesuffix("-api-key")) if key.endswith("-api-key") else None

    def authenticate(self, uid: Any, password: str) -> int:
        """Check the credentials that come with every `execute` call."""
        login = next((name for name, known in self.logins.items() if known == uid), None)
        if login is None:
            raise missing("res.users", uid, uid)
        if self.login(login, password) is None:
            raise access_denied()
        return int(uid)

    def allows(self, uid: int, model: str, operation: str) -> bool:
        """Whether the user may do that with the model at all."""
        if uid == 1:
            return True
        if (verdict := self.denied.get((uid, model))) is not None and (operation == "read" or verdict):
            return not verdict
        if uid == ADMIN:
            return True
        if uid == SALESOWN:
            return operation == "read" or model.startswith(("crm.lead", "sale.", "res.partner"))
        return operation == "read" and not model.startswith(_LOWPRIV_DENIED)

    def demand(self, uid: int, model: str, operation: str) -> None:
        """Raise AccessError unless allowed."""
        if self.allows(uid, model, operation):
            return
        groups = "".join(f"\n\t- {name}" for name in _GROUPS.get((model, operation), ["Administration/Settings"]))
        raise access_error(
            f"You are not allowed to {_VERBS[operation]} '{DESCRIPTIONS.get(model, model)}' ({model}) records.\n\n"
            f"This operation is allowed for the following groups:{groups}\n\n"
            "Contact your administrator to request access if necessary."
        )

    def rule(self, uid: int, model: str) -> list[Any]:
        """The record rule of that user as a domain ([]: none)."""
        return self.rules.get((uid, model), [])

    def forbids_field(self, uid: int, model: str, field: str) -> str | None:
        """The groups a field is kept for, if the user is in none of them."""
        return None if uid in (1, ADMIN) else RESTRICTED_FIELDS.get(model, {}).get(field)

    def demand_field(self, uid: int, model: str, field: str) -> None:
        """Raise AccessError for a field kept for others."""
        groups = self.forbids_field(uid, model, field)
        if groups is not None:
            raise access_error(
                "The requested operation can not be completed due to security restrictions.\n\n"
                f"Document type: {DESCRIPTIONS.get(model, model)} ({model})\nOperation: read\nUser: {uid}\n"
                f"Fields:\n- {field} (allowed for groups {groups})"
            )

    def refuse_records(self, uid: int, model: str) -> None:
        """Raise what reading a record outside the rules raises."""
        raise access_error(
            "Uh-oh! Looks like you have stumbled upon some top-secret records.\n\n"
            f"Sorry, {NAMES[uid]} (id={uid}) doesn't have 'read' access to:\n"
            f"- {DESCRIPTIONS.get(model, model)} ({model})\n\n"
            "If you really, really need access, perhaps you can win over your friendly administrator with a batch of "
            "freshly baked cookies."
        )

    def set_rights(self, login: str, model: str, allow: bool | None = None, domain: list[Any] | None = None) -> None:
        """Take a right away (`allow` False), give it back (True), or set a record rule (`domain`; [] removes it)."""
        uid = self.logins[login]
        if allow is not None:
            self.denied[uid, model] = not allow
        if domain is not None:
            if domain:
                self.rules[uid, model] = domain
            else:
                self.rules.pop((uid, model), None)
