"""Machine files: TOML with ``extends``, a source beside each number, and errors that help.

A file is a flat table of entries, ``"mesh.ports"`` to its value and source; extending is updating
one table with another. Names are checked here and values by the models of the sections.
"""

from __future__ import annotations

import importlib.resources
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from photonpu.errors import MachineError
from photonpu.registry import did_you_mean

DEFAULT_PRESET = "mzi64-eo"
_MAX_BYTES = 1_000_000
_MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a machine file and where it comes from; "" for not told."""

    value: object
    source: str = ""


Entries = dict[str, Entry]


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets that ship, the default first."""
    folder = importlib.resources.files("photonpu.hardware") / "presets"
    names = sorted(
        file.name.removesuffix(".toml")
        for file in folder.iterdir()
        if file.name.endswith(".toml") and file.name != f"{DEFAULT_PRESET}.toml"
    )
    return (DEFAULT_PRESET, *names)


def read_preset(name: str, depth: int = 0) -> Entries:
    """Return the entries of a preset, extended to be complete.

    Raises
    ------
    MachineError
        If there is no such preset.
    """
    names = preset_names()
    if name not in names:
        raise MachineError(
            f"no machine preset is called '{name}'{did_you_mean(name, names)}; "
            f"there are {', '.join(names)}, or a file that ends in .toml"
        )
    file = importlib.resources.files("photonpu.hardware") / "presets" / f"{name}.toml"
    base: Entries | None = {} if name == DEFAULT_PRESET else None
    return read_text(file.read_text("utf-8"), name, None, base=base, depth=depth)


def read_file(path: Path, depth: int = 0) -> Entries:
    """Return the entries of a machine file, extended to be complete.

    Raises
    ------
    MachineError
        If the file is missing, unreadable, too large or not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise MachineError(
            f"cannot read machine file '{path}': {error.strerror}; "
            f"the presets are {', '.join(preset_names())}"
        ) from error
    if len(content) > _MAX_BYTES:
        raise MachineError(f"machine file '{path}' is larger than 1 MB: give a machine's TOML")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MachineError(f"machine file '{path}' is not text: give a machine's TOML") from error
    return read_text(text, path.stem, path, depth=depth)


def read_text(
    text: str, name: str, path: Path | None, *, base: Entries | None = None, depth: int = 0
) -> Entries:
    """Return the entries of a machine's TOML, on top of what it extends.

    Parameters
    ----------
    text
        The TOML; without ``extends`` it extends the default preset.
    name
        The machine's name where the text gives none.
    path
        Where the text comes from, for messages and relative ``extends``; None for nowhere.
    base
        Entries that a text without ``extends`` starts from; None for the default preset's.
    depth
        How many files have been extended so far.

    Raises
    ------
    MachineError
        If the text is not TOML, or extends nothing that can be read, or itself.
    """
    origin = f"'{path}'" if path else f"machine '{name}'"
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise MachineError(f"{origin} is not valid TOML: {error}") from error
    if depth > _MAX_DEPTH:
        raise MachineError(f"{origin}: extends more than {_MAX_DEPTH} files; is there a circle?")
    extends = table.pop("extends", None)
    if extends is None:
        entries = dict(read_preset(DEFAULT_PRESET, depth + 1) if base is None else base)
    else:
        entries = dict(_read_parent(extends, origin, path, depth + 1))
    entries["name"] = Entry(name)
    entries.update(_flatten(table, origin))
    return entries


def _read_parent(extends: object, origin: str, path: Path | None, depth: int) -> Entries:
    if not isinstance(extends, str):
        raise MachineError(f"{origin}: extends={extends!r}: needs the name of a preset or a file")
    if extends.endswith(".toml"):
        if path is None:
            raise MachineError(f"{origin}: extends='{extends}': only a file can extend a file")
        parent = path.parent / extends
        if not parent.is_file():
            raise MachineError(f"{origin}: extends='{extends}': there is no file '{parent}'")
        return read_file(parent, depth)
    try:
        return read_preset(extends, depth)
    except MachineError as error:
        raise MachineError(f"{origin}: extends='{extends}': {error}") from error


def _flatten(table: Mapping[str, object], origin: str) -> Entries:
    entries: Entries = {}
    problems: list[str] = []
    for key, value in table.items():
        children = value if isinstance(value, dict) and "value" not in value else {"": value}
        for child, leaf in children.items():
            path = f"{key}.{child}" if child else key
            if not isinstance(leaf, dict):
                entries[path] = Entry(leaf)
                continue
            unknown = [name for name in leaf if name not in ("value", "source")]
            problems += [
                f"{path}.{name}: no such key{did_you_mean(name, ('value', 'source'))}"
                for name in unknown
            ]
            if "value" not in leaf and not unknown:
                problems.append(f"{path}: needs a value, as in {{ value = 1, source = '...' }}")
            entries[path] = Entry(leaf.get("value"), str(leaf.get("source", "")))
    raise_problems(origin, problems)
    return entries


def raise_problems(origin: str, problems: Iterable[str]) -> None:
    """Raise one `MachineError` that lists all `problems`; none, and nothing happens."""
    found = list(problems)
    if len(found) == 1:
        raise MachineError(f"{origin}: {found[0]}")
    if found:
        raise MachineError(f"{origin} has {len(found)} problems:\n  " + "\n  ".join(found))


def unknown_keys(entries: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return one problem for each entry that is not in `known`, with the nearest known key."""
    keys = list(known)
    sections = {path.partition(".")[0]: path for path in reversed(keys) if "." in path}
    problems = []
    for path in entries:
        if path in sections:
            problems.append(f"{path}: a section; set its keys, such as '{sections[path]}'")
        elif path not in keys:
            problems.append(f"{path}: no such key{did_you_mean(path, (*keys, 'extends'))}")
    return problems


def value_problems(error: ValidationError, things: Mapping[str, str]) -> list[str]:
    """Return one problem for each error that pydantic found, with its dotted key.

    Parameters
    ----------
    error
        What the validation raised.
    things
        Section to what has its fields: ``{"mesh": "a mesh"}``.
    """
    problems = []
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"])
        thing = things.get(path.partition(".")[0], "a machine")
        needs, hint = _needs(item["type"], item.get("ctx", {}), item["input"])
        problems.append(f"{path}={_shown(item['input'])}: {thing} needs {needs}{hint}")
    return problems


def _needs(kind: str, context: Mapping[str, object], found: object) -> tuple[str, str]:
    """Return what would do in place of `found`, and a hint."""
    if kind == "literal_error":
        choices = str(context["expected"])
        return choices, did_you_mean(str(found), re.findall("'([^']*)'", choices))
    known = (needs for prefix, needs in _NEEDS.items() if kind.startswith(prefix))
    return next(known, "another value").format(**context), ""


_NEEDS = {
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} or less",
    "less_than": "less than {lt:g}",
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "bool": "true or false",
    "power_of_two": "ports that are a power of 2 for this topology",
    "whole_turn": "{least:.4g} or more, which turns the phase once",
    "string_too_long": "at most {max_length} characters",
    "string": "text",
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def to_toml(entries: Mapping[str, Entry]) -> str:
    """Return `entries` as TOML, the top-level ones first, then section by section."""
    lines = []
    section = ""
    for path, entry in sorted(entries.items(), key=lambda item: item[0].count(".")):
        head, _, key = path.rpartition(".")
        if head != section:
            lines += ["", f"[{head}]"]
            section = head
        value = _literal(entry.value)
        if entry.source:
            value = f"{{ value = {value}, source = {_literal(entry.source)} }}"
        lines.append(f"{key} = {value}")
    return "\n".join(lines) + "\n"


def _literal(value: object) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for the one control character that JSON lets stand.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return str(value).lower() if isinstance(value, bool) else repr(value)
