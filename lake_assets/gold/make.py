"""Bring a mart up to date with silver, at the cost of what moved."""

from lake_assets.gold.dimension import make_dimension
from lake_assets.gold.fact import make_fact
from lake_assets.gold.snapshot import make_snapshots
from lake_assets.gold.spec import MartSpec
from lake_assets.gold.work import MartOutcome, MartRequest, MartWork
from resources.lake import Lake

__all__ = ["MartOutcome", "MartRequest", "make_mart"]

_MAKERS = {"snapshot": make_snapshots, "fact": make_fact, "dimension": make_dimension}


def make_mart(lake: Lake, spec: MartSpec, request: MartRequest) -> MartOutcome:
    """Make what is behind. One maker per tenant and mart at a time."""
    with lake.lock(f"gold-{request.tenant}-{spec.mart}", f"making gold {spec.mart} of {request.tenant}"):
        work = MartWork(lake, spec, request)
        _MAKERS[spec.kind](work)
        return work.outcome
