"""The shape of a mart's spec, `marts/<mart>.yaml`, with its statement in `marts/<mart>.sql` beside it.

The statement is plain DuckDB SQL over `silver.*` (and `previous.*`, the same as of the day before, for marts that ask for it),
naming the columns it reads. It sees exactly one tenant, and the macros of `marts/macros.sql`. Variables:
`getvariable('snapshot_date')` (DATE), `getvariable('timezone')` (the tenant's IANA zone) and `getvariable('first_source')` (see
`inputs.first_source`).
"""

import hashlib
import re
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lake_assets.silver.spec import SpecError, load_specs
from lake_assets.silver.views import needed_entities

MART_FOLDER = Path(__file__).parent / "marts"
MACROS = (MART_FOLDER / "macros.sql").read_text(encoding="utf-8")

LINEAGE_COLUMNS = {"run_id": "VARCHAR", "made_at": "TIMESTAMP"}
"""Every gold row says which run made it, and when (UTC)."""


class MartColumn(BaseModel):
    """One column: its DuckDB type and what it means, with its unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: str
    description: str


class Label(BaseModel):
    """Whose name a fact's column shows: `name` of the silver entity's record whose id is in the fact's column `key`. A renamed
    record changes rows that were not read again."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    entity: str
    key: str
    name: str


class MartSpec(BaseModel):
    """One mart.

    `kind`: snapshot (one file a day, as of that day), fact (one file a business date, current), dimension (one file, current, and
    `<mart>_history` beside it if `history` is set). `inputs`: silver entities, first the one whose records the rows are. `key`:
    columns that identify a row. `previous`: the statement reads `previous.*`. `every_day`: a day on which nothing changed has a
    snapshot too (ages move). For facts: `business_date` is the date column, `unit` the column with the id of what is made as one,
    `changed_by` silver entity -> SQL for that id, `labels` the columns that show names of other records.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))
    mart: str = Field(pattern=r"[a-z][a-z0-9_]*")
    kind: Literal["snapshot", "fact", "dimension"]
    description: str
    inputs: list[str]
    key: list[str]
    columns: dict[str, MartColumn]
    previous: bool = False
    every_day: bool = False
    history: bool = False
    unit: str = ""
    changed_by: Annotated[dict[str, str], Field(default_factory=dict)]
    labels: Annotated[dict[str, Label], Field(default_factory=dict)]
    business_date: str = "date"

    @field_validator("inputs")
    @classmethod
    def _inputs_exist(cls, inputs: list[str]) -> list[str]:
        unknown = sorted(set(inputs) - set(load_specs()))
        if unknown:
            raise ValueError(f"no silver entity is called {', '.join(unknown)}")
        return inputs

    @property
    def sql(self) -> str:
        return (MART_FOLDER / f"{self.mart}.sql").read_text(encoding="utf-8")

    @property
    def words(self) -> frozenset[str]:
        """Every name that the statement can use: what silver calls otherwise need not be read for it."""
        texts = [self.sql, MACROS, *self.changed_by.values()]
        return frozenset(word for text in texts for word in re.findall(r"\w+", re.sub(r"--.*", "", text)))

    @property
    def reads(self) -> list[str]:
        """The silver entities that must be up to date before the mart: its inputs and those that names come from."""
        labels = [(label.entity, label.name) for label in self.labels.values()]
        looked_up = [needed_entities([entity], {name}) for entity, name in labels]
        return sorted({*needed_entities(self.inputs, self.words), *(entity for found in looked_up for entity in found)})

    @property
    def fingerprint(self) -> str:
        """Changes with anything that changes the rows."""
        return hashlib.sha256((self.model_dump_json() + self.sql + MACROS).encode()).hexdigest()[:16]

    @property
    def all_columns(self) -> dict[str, str]:
        """Name -> DuckDB type, lineage included."""
        return {**{name: column.type for name, column in self.columns.items()}, **LINEAGE_COLUMNS}


@lru_cache
def load_marts(folder: Path = MART_FOLDER) -> dict[str, MartSpec]:
    """Every mart's spec, by name.

    Raises:
        SpecError: a file is not YAML or not a spec.
    """
    marts: dict[str, MartSpec] = {}
    for file in sorted(folder.glob("*.yaml")):
        try:
            spec = MartSpec.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (yaml.YAMLError, ValidationError) as error:
            raise SpecError(f"{file.name}: {error}") from None
        marts[spec.mart] = spec
    return marts
