"""Bronze: an exact, immutable copy of every captured version of every source record.

Read in this order: `window.py` (what a sync asks the source for), `rows.py` (records to bronze rows), `capture.py` (one table
from connector to file), `sync.py` (all tables of one source instance), `assets.py` (Dagster).
"""
