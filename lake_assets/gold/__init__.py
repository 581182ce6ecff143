"""Gold: marts, a star schema and serving tables, made from silver.

Read in this order: `marts/<mart>.yaml` and `.sql` (what each mart is), `spec.py` (their shape), `inputs.py` (what a mart was
made from and whether that moved), `make.py` and `work.py` (bringing one up to date), `snapshot.py`, `fact.py` and `dimension.py`
(the three ways to make one), `views.py`, `checks.py`, `assets.py` (Dagster).
"""
