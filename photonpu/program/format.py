"""The program file: one safetensors file, its header a JSON text that pydantic checks.

Nothing in it is ever executed but ONNX segments by onnxruntime, and everything is checked before
it is used: names, sizes, ranges and that all numbers are finite. ``docs/program-format.md``
describes each field.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from photonpu.errors import MachineError, ProgramError
from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import ARRAYS as CHIP_ARRAYS
from photonpu.program import tensors
from photonpu.program.consistency import problem
from photonpu.program.geometry import Geometry
from photonpu.program.values import (
    HostOperator,
    HostStep,
    PhotonicStep,
    Program,
    Programming,
    ReprogrammedStep,
    Step,
    TensorInfo,
    TileBank,
)
from photonpu.storage import atomic_write

SCHEMA = 2
_FIRST_SCHEMA = 1  # knows no range of an output port of its own, and is written without one
_KEY = "photonpu"
_UNITS = "phases rad; scale in units of the weights; adc_range in units of scale * input_range"

Name = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Arrays = dict[str, NDArray[Any]]


class _Value(BaseModel):
    """A part of the header: frozen, unknown keys and NaN refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Photonic(_Value):
    """Header of a `PhotonicStep`; its bias is an array of the file."""

    kind: Literal["photonic"] = "photonic"
    name: Name
    op: Name
    input: Name
    output: Name
    geometry: Geometry
    tiles: tuple[tuple[Count, Count], ...]
    vectors: tuple[Count, ...]
    input_range: float = Field(gt=0.0)
    in_elements: Count
    out_elements: Count
    macs: Count


class _Reprogrammed(_Value):
    """Header of a `ReprogrammedStep`; the ranges of its ADCs are an array of the file."""

    kind: Literal["reprogrammed"] = "reprogrammed"
    name: Name
    op: Name
    left: Name
    right: Name
    output: Name
    held: Literal["left", "right"]
    matrices: Annotated[int, Field(ge=1, le=2**62)]
    rows: Annotated[int, Field(ge=1, le=2**31)]
    columns: Annotated[int, Field(ge=1, le=2**31)]
    vectors: Annotated[int, Field(ge=1, le=2**62)]
    input_range: float = Field(gt=0.0)
    phase_pi: float = Field(ge=0.0)
    in_elements: Count
    out_elements: Count
    macs: Count


class _Host(_Value):
    """Header of a `HostStep`; its model is an array of bytes of the file."""

    kind: Literal["host"] = "host"
    name: Name
    inputs: tuple[Name, ...]
    outputs: tuple[Name, ...]
    operators: tuple[HostOperator, ...]
    constants: tuple[Name, ...] = ()


_Entry = Annotated[_Photonic | _Reprogrammed | _Host, Field(discriminator="kind")]


class _Programming(_Value):
    """Header of a `Programming`; its numbers and those of its chip are arrays of the file."""

    chip: Name
    seed: Annotated[int, Field(ge=0, lt=2**64)] | None
    method: Name
    rounding: Name
    assignment: Name


class _Header(_Value):
    """All of a program but its arrays."""

    format: Literal["photonpu program"] = "photonpu program"
    schema_version: int
    units: str
    name: Name
    machine: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    steps: tuple[_Entry, ...]
    model_sha256: Annotated[str, Field(max_length=64)]
    parameters: Count
    notes: tuple[str, ...]
    programming: _Programming | None = None


def save(program: Program, path: str | Path) -> None:
    """Write a program.

    Parameters
    ----------
    program
        What to write.
    path
        The file; replaced as a whole or not at all.

    Raises
    ------
    StorageError
        The folder cannot be written or is full.
    """
    arrays: Arrays = {
        f"tiles/{name}": getattr(program.tiles, name) for name in TileBank.__dataclass_fields__
    }
    steps: list[_Photonic | _Reprogrammed | _Host] = []
    for step in program.steps:
        if isinstance(step, HostStep):
            arrays[f"host/{step.name}"] = np.frombuffer(step.model, np.uint8)
            for index, constant in enumerate(step.constants.values()):
                arrays[f"host/{step.name}/{index}"] = constant
            steps.append(_host_header(step))
        elif isinstance(step, ReprogrammedStep):
            arrays[f"adc_range/{step.name}"] = step.adc_range
            steps.append(_Reprogrammed(**_fields(step, _Reprogrammed)))
        else:
            if step.bias is not None:
                arrays[f"bias/{step.name}"] = step.bias
            if step.correction is not None:
                arrays[f"correction/{step.name}"] = step.correction
            steps.append(_Photonic(**_fields(step, _Photonic)))
    made = program.programming
    if made is not None:
        arrays |= {f"chip/{name}": array for name, array in made.chip.arrays.items()}
        arrays |= {"programming/unreachable": made.unreachable, "programming/error": made.error}
    header = _Header(
        schema_version=_schema(program),
        units=_UNITS,
        name=program.name,
        machine=program.machine.to_toml(),
        inputs=program.inputs,
        outputs=program.outputs,
        steps=tuple(steps),
        model_sha256=program.model_sha256,
        parameters=program.parameters,
        notes=program.notes,
        programming=None if made is None else _programming_header(made),
    )

    def write(file: BinaryIO) -> None:
        tensors.write(file, arrays, {_KEY: _json(header)})

    atomic_write(path, write)


def _schema(program: Program) -> int:
    """Return the first schema that holds a program: older versions read what they can."""
    ranges = [program.tiles.adc_range, *(step.adc_range for step in program.reprogrammed_steps)]
    return SCHEMA if any(found.ndim > 1 for found in ranges) else _FIRST_SCHEMA


def _json(header: _Header) -> str:
    """Return the header as text; of a program for no chip it says nothing of chips."""
    return header.model_dump_json(exclude={"programming"} if header.programming is None else None)


def _programming_header(made: Programming) -> _Programming:
    """Return what the header holds of how a program was programmed."""
    return _Programming(
        chip=made.chip.name,
        seed=made.chip.seed,
        method=made.method,
        rounding=made.rounding,
        assignment=made.assignment,
    )


def _programming(entry: _Programming, arrays: Arrays) -> Programming:
    """Put it together from its header and its arrays, which leave `arrays`."""
    numbers = {name: arrays.pop(f"chip/{name}") for name in CHIP_ARRAYS}
    if any(array.dtype != np.float64 for array in numbers.values()):
        raise MachineError(f"chip '{entry.chip}': an array is not of float64")
    return Programming(
        Chip(entry.chip, entry.seed, **numbers),
        entry.method,
        entry.rounding,
        entry.assignment,
        arrays.pop("programming/unreachable"),
        arrays.pop("programming/error"),
    )


def _fields(step: PhotonicStep | ReprogrammedStep, header: type[_Value]) -> dict[str, Any]:
    """Return those fields of a step that its header has."""
    return {name: getattr(step, name) for name in header.model_fields if name != "kind"}


def _host_header(step: HostStep) -> _Host:
    """Return what the header holds of a digital step."""
    return _Host(
        name=step.name,
        inputs=step.inputs,
        outputs=step.outputs,
        operators=step.operators,
        constants=tuple(step.constants),
    )


def load(path: str | Path) -> Program:
    """Read a program that `save` wrote.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Program
        Its arrays are read-only.

    Raises
    ------
    ProgramError
        The file is missing, is no program, is damaged, or was written by a newer photonpu.
    """
    header, arrays = _read(Path(path))
    where = f"program '{path}'"
    if not _FIRST_SCHEMA <= header.schema_version <= SCHEMA:
        raise ProgramError(
            f"{where}: its schema is {header.schema_version} and this photonpu reads "
            f"{_FIRST_SCHEMA} to {SCHEMA}: compile the model again"
        )
    for name, array in arrays.items():
        array.flags.writeable = False
        finite = name.startswith("host/") or array.dtype.kind != "f" or np.isfinite(array).all()
        if not finite:
            raise ProgramError(f"{where}: array '{name}' holds NaN or infinity: compile again")
    try:
        bank = TileBank(
            **{name: arrays.pop(f"tiles/{name}") for name in TileBank.__dataclass_fields__}
        )
        steps = tuple(_step(entry, arrays) for entry in header.steps)
        entry = header.programming
        made = None if entry is None else _programming(entry, arrays)
    except MachineError as error:
        raise ProgramError(f"{where}: {error}: compile again") from None
    except KeyError as error:
        raise ProgramError(f"{where}: array {error} is missing: compile again") from None
    program = Program(
        name=header.name,
        machine=_machine(header.machine, where),
        inputs=header.inputs,
        outputs=header.outputs,
        steps=steps,
        tiles=bank,
        model_sha256=header.model_sha256,
        parameters=header.parameters,
        notes=header.notes,
        programming=made,
    )
    found = problem(program)
    if found or arrays:
        reason = found or f"array '{next(iter(arrays))}' belongs to no step"
        raise ProgramError(f"{where}: {reason}: compile again")
    return program


def _machine(toml: str, where: str) -> Machine:
    """Read the machine that a program was compiled for."""
    try:
        return Machine.from_toml(toml)
    except MachineError as error:
        raise ProgramError(f"{where}: its machine does not hold ({error}): compile again") from None


def _read(path: Path) -> tuple[_Header, Arrays]:
    """Read the header and the arrays, each checked for itself."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ProgramError(f"cannot read program '{path}': no such file; check the path")
    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                raise ProgramError(
                    f"'{path}' is a safetensors file but no photonpu program: "
                    "write one with `photonpu compile`"
                )
            header = _Header.model_validate(json.loads(text, object_pairs_hook=_unique))
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ProgramError(
            f"'{path}' is not a photonpu program, or is damaged ({error}): "
            "write one with `photonpu compile`"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ProgramError(
            f"program '{path}': header entry {place}: {first['msg']}: compile again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ProgramError(f"program '{path}': its header is damaged ({error})") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, and refuse one that says a key twice."""
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return entries


def _step(entry: _Photonic | _Reprogrammed | _Host, arrays: Arrays) -> Step:
    """Put a step together from its header and its array, which leaves `arrays`."""
    if isinstance(entry, _Host):
        model = arrays.pop(f"host/{entry.name}").astype(np.uint8).tobytes()
        constants = {
            name: arrays.pop(f"host/{entry.name}/{index}")
            for index, name in enumerate(entry.constants)
        }
        return HostStep(entry.name, model, entry.inputs, entry.outputs, entry.operators, constants)
    fields = {name: getattr(entry, name) for name in type(entry).model_fields if name != "kind"}
    if isinstance(entry, _Reprogrammed):
        return ReprogrammedStep(**fields, adc_range=arrays.pop(f"adc_range/{entry.name}"))
    return PhotonicStep(
        **fields,
        bias=arrays.pop(f"bias/{entry.name}", None),
        correction=arrays.pop(f"correction/{entry.name}", None),
    )
