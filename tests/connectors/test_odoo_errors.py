"""What we make of Odoo's error answers: names and messages as a real Odoo 17 gave them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.connectors.base import MissingAtSource, NotPermitted, PermanentError, SourceError
from resources.connectors.odoo_errors import FieldGone, Place, odoo_error
from resources.http_session import TryAgain
from resources.http_words import LONGEST_QUOTE

PLACE = Place("tenant t, source odoo, table crm_lead", "tenants.t.sources.odoo", "demo", "s3cret-pass")

POSTGRES = 'connection to server at "127.0.0.1", port 5433 failed: '

RECORDED = [
    ("odoo.exceptions.AccessDenied", "Access Denied", PermanentError, "wrong user or password"),
    (
        "odoo.exceptions.AccessError",
        "You are not allowed to access 'Lead' (crm.lead) records.",
        NotPermitted,
        "that right",
    ),
    (
        "odoo.exceptions.AccessError",
        "The requested operation can not be completed due to security restrictions.\n\nDocument type: Contact"
        " (res.partner)\nOperation: read\nUser: 8\nFields:\n- credit (allowed for groups 'Invoicing / Billing')",
        FieldGone,
        "credit",
    ),
    ("odoo.exceptions.UserError", "Object crm.lead doesn't exist", MissingAtSource, "no model crm.lead"),
    ("builtins.KeyError", "'crm.lead'", MissingAtSource, "no model crm.lead"),
    ("builtins.KeyError", "'some_dict_key'", PermanentError, "KeyError"),
    ("werkzeug.exceptions.NotFound", "the model 'crm.lead' does not exist", MissingAtSource, "no model crm.lead"),
    ("builtins.ValueError", "Invalid field 'x' on model 'crm.lead'", FieldGone, "Invalid field 'x'"),
    ("builtins.ValueError", "Invalid field crm.lead.x in leaf ('x', '=', 1)", FieldGone, "Invalid field"),
    ("builtins.ValueError", "Invalid leaf ('id', '~~', 1)", PermanentError, "Invalid leaf"),
    (
        "psycopg2.OperationalError",
        f'{POSTGRES}FATAL:  database "nosuchdb" does not exist\n',
        PermanentError,
        "no database 'nosuchdb'. Check tenants.t.sources.odoo.database",
    ),
    ("psycopg2.OperationalError", f"{POSTGRES}Connection refused\n\tIs the server running?\n", TryAgain, "refused"),
    ("psycopg2.OperationalError", "FATAL:  sorry, too many clients already", TryAgain, "too many clients"),
    ("psycopg2.errors.SerializationFailure", "could not serialize access", TryAgain, "SerializationFailure"),
    ("psycopg2.errors.DeadlockDetected", "deadlock detected", TryAgain, "DeadlockDetected"),
    ("psycopg2.pool.PoolError", "The Connection Pool Is Full", TryAgain, "PoolError"),
    ("builtins.TypeError", "keys must be str, int, float, bool or None, not frozendict", PermanentError, "frozendict"),
    ("odoo.exceptions.UserError", "Undefined graph model for Sales Team: eBay", PermanentError, "eBay"),
    ("", "", PermanentError, "could not answer"),
]


@pytest.mark.parametrize(("name", "message", "kind", "says"), RECORDED)
def test_recorded_errors(name: str, message: str, kind: type[Exception], says: str) -> None:
    error = odoo_error(PLACE, "crm.lead", name, message)
    assert type(error) is kind
    assert says in str(error)
    assert "\n" not in str(error)
    if isinstance(error, SourceError):
        assert str(error).startswith(PLACE.where)


@given(name=st.text(max_size=60), message=st.text(max_size=2000), at=st.integers(0, 2000))
def test_whatever_a_server_says_becomes_one_short_line_without_the_password(name: str, message: str, at: int) -> None:
    error = odoo_error(PLACE, "crm.lead", name, message[:at] + PLACE.secret + message[at:])
    assert isinstance(error, SourceError | TryAgain)
    assert PLACE.secret not in str(error)
    assert len(str(error)) < LONGEST_QUOTE + len(name) + 250
