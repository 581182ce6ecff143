"""Silver: one clean, typed, validated model of every entity, whatever source it comes from.

Read in this order: `specs/*.yaml` (what each entity is), `spec.py` (their shape), `rules.py` (what a rule means in SQL),
`compile.py` (a spec to one statement), `make.py` (bronze files to a day's silver file), `views.py` (the current state),
`assets.py` (Dagster).
"""
