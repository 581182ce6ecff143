"""Who is who: which records of which systems are the same company, person or deal of the story.

No system's API shows this. It is the truth that entity resolution is measured against.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """One record and the thing of the story that it is about. `kind`: company, person or deal; `number`: its number in the
    tenant's `World`; `source`, `entity`, `id`: the record."""

    kind: str
    number: int
    source: str
    entity: str
    id: str


class Identities:
    """Everything that the stand-ins told."""

    def __init__(self) -> None:
        self._by_tenant: dict[str, list[Identity]] = defaultdict(list)

    def tell(self, tenant: str, kind: str, number: int, source: str, entity: str, record_id: int | str) -> None:
        """A record is about this thing of the story."""
        self._by_tenant[tenant].append(Identity(kind, number, source, entity, str(record_id)))

    def describe(self, tenant: str) -> list[dict[str, str | int]]:
        """All of a tenant's."""
        return [asdict(identity) for identity in self._by_tenant[tenant]]
