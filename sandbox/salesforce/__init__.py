"""A stand-in for Salesforce: one org per tenant, its REST query API, logins, limits and recycle bin.

Behaviour follows what is documented and recorded; what no recording shows says INVENTED where it is written. Not
there: Bulk API, SOAP, composite, relationship fields in SOQL.
"""
