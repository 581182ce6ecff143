"""A stand-in for Odoo 17 (and, under another path, 19): the same answers a real server was recorded giving.

Order of reading: `schema` (which models and fields), `store` (rows in memory), `views` (rows to JSON), `domain` and
`search` (finding rows), `records` (create, write, unlink with what they entail), `methods` (what a client may call),
`access` (who may), `rpc` and `json2` (the wire), `control` (what tests may do to it); `seed_*` and `advance_*` tell
the story of each database.
"""
