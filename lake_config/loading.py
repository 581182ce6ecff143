"""Find, read and validate the configuration file; say what is wrong with it by the key's path."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from dotenv import load_dotenv
from pydantic import ValidationError

from lake_config.settings import Settings


class ConfigError(Exception):
    """The configuration file is missing or wrong; the message lists each key and what is expected there."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML takes the last of two equal keys; a tenant listed twice would silently lose the first."""


def _mapping_without_duplicates(
    loader: yaml.SafeLoader, node: yaml.MappingNode, deep: bool = False
) -> dict[Hashable, Any]:
    seen: set[Hashable] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *defaults`, which may be overridden on purpose
            continue
        key = loader.construct_object(key_node, deep=True)  # pyright: ignore[reportUnknownMemberType]
        if not isinstance(key, Hashable):
            raise ConfigError(f"line {key_node.start_mark.line + 1}: a list or mapping cannot be a key")
        if key in seen:
            raise ConfigError(f"line {key_node.start_mark.line + 1}: the key {key!r} stands twice in one block")
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def load_settings(path: str | Path | None = None) -> Settings:
    """Read `path`, else `$LAKE_CONFIG`, else `./lake.yaml`; a `.env` beside it fills unset environment variables.

    Raises:
        ConfigError: the file is absent, not YAML, or a key is missing, unknown or of the wrong kind.
    """
    file = Path(path or os.environ.get("LAKE_CONFIG") or "lake.yaml").expanduser().resolve()
    if not file.is_file():
        raise ConfigError(f"{file}: no such file. Name one with --config or LAKE_CONFIG.")
    load_dotenv(file.parent / ".env", override=False)
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), _UniqueKeyLoader)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid YAML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    return settings_from_mapping(data, file)


def settings_from_mapping(data: Any, file: Path) -> Settings:
    """Validate what a configuration file holds.

    Raises:
        ConfigError: with one line per wrong key, each beginning with the key's path.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{file}: a mapping with the keys `lake` and `tenants` is expected")
    try:
        return Settings.model_validate({**data, "path": file}, context={"folder": file.parent})
    except ValidationError as error:
        lines = [
            f"  {_key_path(item['loc'])}: {_reason(item)}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigError("\n".join([f"{file}: {len(lines)} problem(s)", *lines])) from None


def _key_path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(file)"


def _reason(item: Mapping[str, Any]) -> str:
    reasons = {"missing": "is required and missing", "extra_forbidden": "is not a known key"}
    return reasons.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
