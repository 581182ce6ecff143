"""What reaches outside the process: source systems, the lake's files, DuckDB, Postgres, locks.

Everything here is usable without Dagster, except `resources/dagster_*.py`, the thin resource classes around it.
"""
