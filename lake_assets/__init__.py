"""The asset graph: bronze -> silver -> gold -> platinum, and what runs it."""

import warnings

# Dagster says so at each of some hundred calls; that we rely on `backfill_policy` and `pool` is in docs/decisions.md.
warnings.filterwarnings("ignore", message=r".* is currently in (beta|preview)")
