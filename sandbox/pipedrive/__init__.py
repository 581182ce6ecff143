"""A stand-in of Pipedrive: the company account `skyfit`.

API v2 for deals, persons, organizations, activities, products, pipelines, stages and the fields' metadata; v1 for
users; OAuth with refresh tokens; the token budget and burst limits. What no recording and no page of the vendor shows
is marked INVENTED.
"""
