"""The machine: what a user's file describes, complete and checked."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, get_args, get_origin

from pydantic import Field, PrivateAttr, ValidationError

from photonpu.hardware import loading
from photonpu.hardware.loading import DEFAULT_PRESET, Entries, Entry
from photonpu.hardware.parts import Mesh, PhaseShifters
from photonpu.hardware.section import Section
from photonpu.hardware.sections import (
    Converters,
    Detector,
    Digital,
    Environment,
    Memory,
    Optics,
)
from photonpu.hardware.topologies import SIZES
from photonpu.storage import atomic_write

_UNITS = {
    "_fj_per_bit": "fJ/bit",
    "_pj_per_bit": "pJ/bit",
    "_pj_per_op": "pJ/operation",
    "_mm2_per_mb": "mm²/MB",
    "_gb_per_s": "GB/s",
    "_a_per_w": "A/W",
    "_pa_per_rthz": "pA/√Hz",
    "_rad_per_v2": "rad/V²",
    "_rad_per_rth": "rad/√h",
    "_per_k": "1/K",
    "_rad": "rad",
    "_db_per_hz": "dB/Hz",
    "_per_nm": "1/nm",
    "_db": "dB",
    "_um2": "µm²",
    "_mm2": "mm²",
    "_um": "µm",
    "_nm": "nm",
    "_us": "µs",
    "_mw": "mW",
    "_pj": "pJ",
    "_na": "nA",
    "_mb": "MB",
    "_ghz": "GHz",
    "_bits": "bit",
    "_enob": "bit",
    "_v": "V",
    "_k": "K",
    "_s": "s",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of a machine, for documentation, the command line and sweeps.

    Attributes
    ----------
    path
        Dotted: ``"mesh.ports"``.
    type
        In words: ``"int"``, ``"float or none"``, ``"'clements' or 'reck'"``.
    default
        Its value in the default preset.
    unit
        ``"dB"``; empty for a count, a share or a text.
    description
        What it is.
    """

    path: str
    type: str
    default: object
    unit: str
    description: str


class Machine(Section):
    """A photonic accelerator: cores of two meshes each, and all around them.

    Made by `preset`, `load`, `from_toml` or `of`, changed by `override`. Two machines are equal
    when all their values are; where the values come from (`sources`) does not count.

    Examples
    --------
    >>> machine = Machine.preset("mzi64-eo").override({"mesh.ports": 32})
    >>> machine.mesh.ports
    32
    """

    name: Annotated[str, Field(max_length=200, description="what the machine is called")]
    description: Annotated[str, Field(max_length=2000, description="what it stands for")]
    cores: Annotated[int, Field(ge=1, le=4096, description="cores that work side by side")]
    wavelengths: Annotated[
        int, Field(ge=1, le=1024, description="vectors that pass one mesh side by side")
    ]
    clock_ghz: Annotated[
        float, Field(gt=0, le=1000, description="vectors a second through a core, each wavelength")
    ]
    mesh: Mesh
    optics: Optics
    phase: PhaseShifters
    converters: Converters
    detector: Detector
    environment: Environment
    memory: Memory
    digital: Digital

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def presets(cls) -> tuple[str, ...]:
        """Return the names of the machines that ship, the default first."""
        return loading.preset_names()

    @classmethod
    def preset(cls, name: str = DEFAULT_PRESET) -> Machine:
        """Return a machine that ships.

        Raises
        ------
        MachineError
            If no preset has this name; the message says which come close.
        """
        return _preset(name)

    @classmethod
    def load(cls, path: str | Path) -> Machine:
        """Return the machine that a TOML file describes.

        Raises
        ------
        MachineError
            If the file cannot be read, or a key or value does not hold; all problems at once.
        """
        return _build(loading.read_file(Path(path)), f"machine file '{path}'")

    @classmethod
    def from_toml(cls, text: str, name: str = "unnamed") -> Machine:
        """Return the machine that a TOML text describes; `name` is for a text without one.

        Raises
        ------
        MachineError
            As `load`.
        """
        return _build(loading.read_text(text, name, None), f"machine '{name}'")

    @classmethod
    def of(cls, machine: Machine | str | Path) -> Machine:
        """Return `machine` itself, the preset of that name, or what that ``.toml`` file describes.

        Raises
        ------
        MachineError
            As `preset` and `load`.
        """
        if isinstance(machine, Machine):
            return machine
        if isinstance(machine, Path) or machine.endswith(".toml"):
            return cls.load(machine)
        return cls.preset(machine)

    def override(self, values: Mapping[str, object]) -> Machine:
        """Return a copy with some values replaced.

        Parameters
        ----------
        values
            Dotted key to value; a text is read as the key's type asks, ``"none"`` as none.

        Raises
        ------
        MachineError
            If a key or a value does not hold; all problems at once.
        """
        changes = {path: Entry(value, "override") for path, value in values.items()}
        return _build(self._entries() | changes, f"machine '{self.name}'")

    def get(self, path: str) -> object:
        """Return the value at a dotted key.

        Raises
        ------
        MachineError
            If there is no such key.
        """
        values = self.values()
        loading.raise_problems(f"machine '{self.name}'", loading.unknown_keys([path], values))
        return values[path]

    def values(self) -> dict[str, object]:
        """Return all values by their dotted keys."""
        found: dict[str, object] = {}
        for key in type(self).model_fields:
            value = getattr(self, key)
            if isinstance(value, Section):
                found |= {f"{key}.{name}": part for name, part in value}
            else:
                found[key] = value
        return found

    @property
    def sources(self) -> Mapping[str, str]:
        """Where each value comes from, by dotted key; without an entry where nobody said."""
        return dict(self._sources)

    def to_toml(self) -> str:
        """Return the whole machine as TOML, sources included; `from_toml` reads it back."""
        return loading.to_toml(self._entries())

    def save(self, path: str | Path) -> None:
        """Write `to_toml` to a file.

        Raises
        ------
        StorageError
            If the file cannot be written; what was there before is untouched.
        """
        text = self.to_toml().encode()

        def write(file: BinaryIO) -> None:
            file.write(text)

        atomic_write(path, write)

    @classmethod
    def fields(cls) -> tuple[Parameter, ...]:
        """Return a description of every value of a machine, in the order of the files."""
        defaults = cls.preset().values()
        return tuple(
            Parameter(path, _type_name(kind), defaults[path], _unit(path), description)
            for path, (kind, description) in _declared().items()
        )

    def _entries(self) -> Entries:
        return {
            path: Entry(value, self._sources.get(path, "")) for path, value in self.values().items()
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Machine) and self.values() == other.values()

    def __hash__(self) -> int:
        return hash(tuple(self.values().items()))


@functools.cache
def _preset(name: str) -> Machine:
    return _build(loading.read_preset(name), f"machine preset '{name}'")


def _build(entries: Entries, origin: str) -> Machine:
    """Return the machine of complete `entries`, or raise all that is wrong with them."""
    known = _declared()
    problems = loading.unknown_keys(entries, known)
    tree: dict[str, object] = {name: {} for name in _sections()}
    for path, entry in entries.items():
        head, _, key = path.rpartition(".")
        if path in known:
            target = tree[head] if head else tree
            if isinstance(target, dict):
                target[key] = entry.value
    try:
        machine = Machine.model_validate(tree)
    except ValidationError as error:
        things = {name: section.thing for name, section in _sections().items()}
        problems += loading.value_problems(error, things)
    else:
        problems += _conflicts(machine)
    loading.raise_problems(origin, problems)
    machine._sources.update({path: entry.source for path, entry in entries.items() if entry.source})
    return machine


def _conflicts(machine: Machine) -> list[str]:
    """Return what is wrong between the values of a machine."""
    mesh, most = machine.mesh, 2.0 * machine.mesh.mzi_loss_db
    if abs(mesh.mzi_imbalance_db) > most or (mesh.mzi_imbalance_std_db and not most):
        worst = "mzi_imbalance_db" if mesh.mzi_imbalance_db else "mzi_imbalance_std_db"
        found = f"mesh.{worst}={getattr(mesh, worst)}: an arm would amplify"
        return [f"{found}; with mesh.mzi_loss_db={mesh.mzi_loss_db} of both it is {most:g} at most"]
    if SIZES[machine.mesh.topology].push and machine.phase.dac_domain == "voltage":
        topology = machine.mesh.topology
        return [f"phase.dac_domain='voltage': mesh.topology='{topology}' is push-pull, for 'phase'"]
    if SIZES[mesh.topology].push and mesh.correction == "refined":
        return [f"mesh.correction='refined': mesh.topology='{mesh.topology}' is push-pull, 'local'"]
    return []


@functools.cache
def _sections() -> Mapping[str, type[Section]]:
    return {
        name: field.annotation
        for name, field in Machine.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }


@functools.cache
def _declared() -> Mapping[str, tuple[object, str]]:
    """Return the type and the description of every dotted key."""
    sections = _sections()
    found: dict[str, tuple[object, str]] = {}
    for name, field in Machine.model_fields.items():
        if name not in sections:
            found[name] = (field.annotation, str(field.description))
            continue
        for key, part in sections[name].model_fields.items():
            found[f"{name}.{key}"] = (part.annotation, str(part.description))
    return found


def _unit(path: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if path.endswith(suffix)), "")


def _type_name(kind: object) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(repr(choice) for choice in get_args(kind))
    if isinstance(kind, types.UnionType):
        return " or ".join(_type_name(part) for part in get_args(kind))
    names: dict[object, str] = {int: "int", float: "float", bool: "bool", types.NoneType: "none"}
    return names.get(kind, "text")
