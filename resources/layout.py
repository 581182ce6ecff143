"""Where things lie in the lake: the path contract of DESIGN section 4, and nothing else.

All paths are relative to the lake's root. Every function is pure; the tests hold them to the letter.
"""

import re
from datetime import date

_DAY_FOLDERS = re.compile(r"/year=(\d{4})/month=(\d{2})/day=(\d{2})/")
_DAY_FILE = re.compile(r"/(\d{4}-\d{2}-\d{2})\.parquet$")
_DATE_FOLDER = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/")


def _day_folders(day: date) -> str:
    return f"year={day:%Y}/month={day:%m}/day={day:%d}"


def bronze_table(tenant: str, source: str, entity: str) -> str:
    return f"bronze/tenant_id={tenant}/source={source}/entity={entity}"


def bronze_day(tenant: str, source: str, entity: str, day: date) -> str:
    return f"{bronze_table(tenant, source, entity)}/{_day_folders(day)}"


def bronze_unit(tenant: str, source: str, entity: str, day: date, run_id: str, part: int = 0) -> str:
    return f"{bronze_day(tenant, source, entity, day)}/run_id={run_id}/part-{part:05d}.parquet"


def quarantine_of(bronze_path: str, part: int) -> str:
    """Where the rows rejected from one bronze file go: the same folders below `quarantine/`.

    Parameters:
        part: which of the silver entities that read this bronze table rejected them (account and contact share one).
    """
    folder = bronze_path.rsplit("/", 1)[0].removeprefix("bronze/")
    return f"quarantine/{folder}/part-{part:05d}.parquet"


def silver_table(tenant: str, entity: str) -> str:
    return f"silver/tenant_id={tenant}/entity={entity}"


def silver_day(tenant: str, entity: str, day: date) -> str:
    return f"{silver_table(tenant, entity)}/year={day:%Y}/month={day:%m}/{day:%Y-%m-%d}.parquet"


def gold_mart(tenant: str, mart: str) -> str:
    return f"gold/tenant_id={tenant}/mart={mart}"


def gold_snapshot(tenant: str, mart: str, day: date) -> str:
    return f"{gold_mart(tenant, mart)}/date={day:%Y-%m-%d}/part-00000.parquet"


def gold_fact(tenant: str, mart: str, business_date: date) -> str:
    return f"{gold_mart(tenant, mart)}/{_day_folders(business_date)}/part-00000.parquet"


def gold_dimension(tenant: str, mart: str) -> str:
    return f"{gold_mart(tenant, mart)}/part-00000.parquet"


def schema_file(tenant: str, source: str, entity: str) -> str:
    return f"_schema/tenant_id={tenant}/source={source}/entity={entity}.json"


def source_file(tenant: str, source: str) -> str:
    """What type of system a source instance is."""
    return f"_schema/tenant_id={tenant}/source={source}/source.json"


def table_state(tenant: str, source: str, entity: str) -> str:
    """The watermark of one source table."""
    return f"_state/bronze/tenant_id={tenant}/source={source}/entity={entity}.json"


def budget_file(tenant: str, source: str) -> str:
    """What a source was asked today."""
    return f"_state/budget/tenant_id={tenant}/source={source}.json"


def states_folder(tenant: str) -> str:
    """The watermarks of all source tables of a tenant."""
    return f"_state/bronze/tenant_id={tenant}"


def asset_state(layer: str, tenant: str, name: str) -> str:
    """What a silver or gold table was made from."""
    return f"_state/{layer}/tenant_id={tenant}/{name}.json"


def day_of(path: str) -> date:
    """The day partition a bronze, quarantine, silver or gold file belongs to.

    Raises:
        ValueError: the path has no day.
    """
    if match := _DAY_FOLDERS.search(path):
        return date(int(match[1]), int(match[2]), int(match[3]))
    if match := _DAY_FILE.search(path) or _DATE_FOLDER.search(path):
        return date.fromisoformat(match[1])
    raise ValueError(f"{path}: no day in this path")
