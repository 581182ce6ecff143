"""YAML that remembers its lines, so that an error in a spec can name the one it stands in."""

from pathlib import Path
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Location = tuple[int | str, ...]
"""Keys and list positions from the top of a file down to a value."""


class SpecFileError(Exception):
    """A file is no YAML, or a key stands twice in it; the message begins with file and line."""


class YamlFile:
    """One YAML file: its value, and the line of each part of it.

    Raises:
        SpecFileError
    """

    def __init__(self, file: Path) -> None:
        self.name = file.name
        try:
            loader = _LOADER(file.read_text(encoding="utf-8"))
            self._node: yaml.Node | None = loader.get_single_node()
        except UnicodeDecodeError as error:
            line = file.read_bytes()[: error.start].count(b"\n") + 1
            raise SpecFileError(f"{file.name}:{line}: not UTF-8 text") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            why = getattr(error, "problem", error)
            raise SpecFileError(f"{file.name}:{mark.line + 1 if mark else 1}: not valid YAML: {why}") from None
        if repeated := _repeated_keys(self._node):
            lines = [f"{file.name}:{line}: {key}: stands here for the second time" for line, key in repeated]
            raise SpecFileError("\n".join(lines))
        self.value: Any = None if self._node is None else loader.construct_document(self._node)

    def located(self, location: Location, message: str) -> str:
        """`message` with the file, line and key that it is about."""
        return f"{self.name}:{self._line_of(location)}: {'.'.join(map(str, location)) or 'spec'}: {message}"

    def location_of(self, path: str) -> Location:
        """The location that `path` writes with dots, which keys may contain too."""
        return _location_in(self._node, path)

    def _line_of(self, location: Location) -> int:
        node = self._node
        line = node.start_mark.line if node else 0
        for part in location:
            if isinstance(node, yaml.MappingNode):
                entry = next(((key, value) for key, value in node.value if key.value == part), None)
                if entry is None:
                    break
                line, node = entry[0].start_mark.line, entry[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1


def _repeated_keys(node: yaml.Node | None) -> list[tuple[int, str]]:
    """(line, key) of keys that a mapping has twice; YAML itself would keep the last and say nothing."""
    found: list[tuple[int, str]] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                found.append((key.start_mark.line + 1, str(key.value)))
            seen.add(key.value)
            found += _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            found += _repeated_keys(item)
    return found


def _location_in(node: yaml.Node | None, path: str) -> Location:
    """`path` with dots, which keys may contain too, as a location in `node`."""
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if path == key_node.value or path.startswith(key_node.value + "."):
                return (key_node.value, *_location_in(value_node, path[len(key_node.value) + 1 :]))
    if isinstance(node, yaml.SequenceNode) and path.split(".")[0].isdigit():
        head, _, rest = path.partition(".")
        return (int(head), *_location_in(node.value[int(head)], rest))
    return ()
