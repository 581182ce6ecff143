"""Text that may hold `${VAR}` references, resolved only when it is needed and never shown."""

import os
import re
from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class MissingVariableError(Exception):
    """`lake.yaml` refers to an environment variable that is not set."""

    def __init__(self, variable: str, where: str = "") -> None:
        self.variable = variable
        place = f"{where}: " if where else ""
        super().__init__(
            f"{place}environment variable {variable} is not set. Set it, or put {variable}=... into the file .env "
            "beside lake.yaml."
        )


def variables_in(text: str) -> list[str]:
    """The names of the `${VAR}` references in `text`, in order."""
    return _VARIABLE.findall(text)


def expand(text: str, environ: Mapping[str, str] | None = None, where: str = "") -> str:
    """`text` with each `${VAR}` replaced by the environment's value.

    Raises:
        MissingVariableError: a variable is not set.
    """
    env = os.environ if environ is None else environ

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in env:
            raise MissingVariableError(name, where)
        return env[name]

    return _VARIABLE.sub(value, text)


class Secret:
    """A configured text whose value shows in no repr, log, dump or traceback.

    `Secret("${ODOO_PASSWORD}").reveal()` reads the environment at that moment, so that a missing variable is an error of the
    source that needs it and not of everything else.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self, where: str = "") -> str:
        """The value.

        Parameters:
            where: the key's path in `lake.yaml`, named in the error.

        Raises:
            MissingVariableError: it refers to a variable that is not set.
        """
        return expand(self._text, where=where)

    def missing(self) -> list[str]:
        """The variables it refers to that are not set."""
        return [name for name in variables_in(self._text) if name not in os.environ]

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "***"),
        )
