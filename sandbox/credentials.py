"""What the stand-ins accept, under the names of the variables by which the demo's configuration refers to it.

They hold invented data only and listen on loopback, so this is no secret; it is here so that the demo's configuration need not
name any either.
"""

from sandbox.apn.server import READER
from sandbox.aws.wire import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from sandbox.pipedrive.login import secret
from sandbox.zendesk.account import TOKEN

CREDENTIALS = {
    "NORTHWIND_ODOO_PASSWORD": "admin",
    "NORTHWIND_SALESFORCE_SECRET": "northwind-secret",
    "NKRETAIL_ODOO_PASSWORD": "admin",
    "PODIUM_ODOO_PASSWORD": "admin",
    "PODIUM_APN_PASSWORD": READER,
    "PODIUM_AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
    "PODIUM_AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    "SKYFIT_PIPEDRIVE_TOKEN": secret("skyfit", "api token"),
    "SKYFIT_ZENDESK_TOKEN": TOKEN,
}
