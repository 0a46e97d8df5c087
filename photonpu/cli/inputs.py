"""From the texts of a command line to machines, models, programs and arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from photonpu.errors import DataError, InputError, ModelError, ProgramError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photonpu.cli.options import Reading
    from photonpu.compiler.choice import Choice
    from photonpu.compiler.untrusted.checked import Checked
    from photonpu.hardware import Machine
    from photonpu.models.datasets import Dataset
    from photonpu.program import Program

    Arrays = NDArray[np.generic] | Mapping[str, NDArray[np.generic]]

SHIPPED = "shipped"
CALIBRATION_SAMPLES = 8


def pairs(texts: Iterable[str] | None, option: str, form: str = "KEY=VALUE") -> dict[str, str]:
    """Return ``KEY=VALUE`` arguments of `option` as a mapping; `form` is how one is written.

    Raises
    ------
    InputError
        An argument without ``=``, or a key that comes twice.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"{option} {text}: write {option} {form}")
        if key in found:
            raise InputError(f"{option} {key}: given twice")
        found[key] = value
    return found


def names(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def noises(text: str) -> str | tuple[str, ...] | dict[str, float]:
    """Return a named set of noise sources as it is, and anything else as names or strengths.

    Raises
    ------
    InputError
        A strength is no number, or makes no sense for its source.
    photonpu.registry.UnknownNameError
        There is no such source.
    """
    from photonpu.simulator.strengths import strengths

    if text in ("full", "quantised", "ideal"):
        return text
    found = _strengths(text) if "=" in text else names(text)
    strengths(found)  # what is wrong with it need not wait for the model
    return found


def _strengths(text: str) -> dict[str, float]:
    """Return sources and their strengths; 1 for one without."""
    found = names(text)
    strengths = {}
    for part in found:
        name, equals, number = part.partition("=")
        try:
            strengths[name] = float(number) if equals else 1.0
        except ValueError:
            raise InputError(f"--noise {part}: write NAME or NAME=STRENGTH, as in shot=2") from None
    return strengths


def read_machine(name: str | None, settings: Sequence[str] | None = None) -> Machine:
    """Return a preset or the machine in a TOML file, with `settings` changed.

    Raises
    ------
    MachineError
        No such preset or file, or a value that the machine refuses.
    """
    from photonpu.hardware import Machine

    machine = Machine.preset() if name is None else Machine.of(name)
    return machine.override(pairs(settings, "--set"))


def read_chip(text: str | None) -> int | str | None:
    """Return the seed of a drawn chip as a number, and the name of a file as it is."""
    return int(text) if text is not None and text.removeprefix("-").isdecimal() else text


def read_model(
    name: str,
    reading: Reading,
    *,
    calibration: Arrays | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Checked:
    """Return the model in the file that `name` names, checked, or the network of the zoo.

    Files are read in a child process of bounded means unless they are trusted; what comes with
    photonpu is. `calibration` and `shapes` say what the model will be compiled for.

    Raises
    ------
    ModelError
        There is neither; or the file does not read, or asks for more than its limits.
    InputError
        A limit is no positive number.
    """
    from photonpu.compiler import reader
    from photonpu.compiler.untrusted import sandbox
    from photonpu.compiler.untrusted.checked import Checked
    from photonpu.compiler.untrusted.limits import Limits
    from photonpu.models.zoo import MODELS, build, model_path
    from photonpu.registry import did_you_mean

    limits = Limits(**reading.limits)  # type: ignore[arg-type]
    if Path(name).exists():
        if reading.trust:
            return sandbox.read_trusted(name, limits=limits)
        return sandbox.read_confined(
            name, limits=limits, shapes=shapes, samples=_shapes_of(calibration)
        )
    if name in MODELS:
        known = build(name) if MODELS[name].file is None else model_path(name)
        return Checked(reader.read(known, limits=limits), name, limits)
    guess = did_you_mean(name, MODELS) or "; `photonpu models` lists those that come with photonpu"
    raise ModelError(f"'{name}': no such file, and no model is called so{guess}")


def _shapes_of(
    arrays: Arrays | None,
) -> tuple[int, ...] | dict[str, tuple[int, ...]] | None:
    if arrays is None or not isinstance(arrays, Mapping):
        return None if arrays is None else arrays.shape
    return {name: array.shape for name, array in arrays.items()}


def read_shapes(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes that ``--shape`` arguments name, or None for none.

    Raises
    ------
    InputError
        An argument that is not ``NAME=1x1x128x128``.
    """
    shapes = {}
    for name, text in pairs(texts, "--shape", "NAME=1x1x128x128").items():
        sizes = text.split("x")
        if not all(size.isdecimal() and len(size) < 19 and int(size) > 0 for size in sizes):
            raise InputError(f"--shape {name}={text}: write whole numbers, as in 1x1x128x128")
        shapes[name] = tuple(int(size) for size in sizes)
    return shapes or None


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an ``.npz`` file by name.

    Raises
    ------
    InputError
        The file is missing, is no ``.npz``, or holds objects instead of numbers.
    """
    import numpy as np

    if not path.exists():
        raise InputError(f"'{path}': no such file")
    try:
        with path.open("rb") as start:
            kind = start.read(6)
        if kind == b"\x93NUMPY":
            raise InputError(f"'{path}' holds one array without a name; save it with np.savez")
        if not zipfile.is_zipfile(path):
            raise InputError(f"'{path}' is no .npz file of numbers; write it with np.savez")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, MemoryError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(
            f"'{path}' is no .npz file of numbers ({error}); write it with np.savez"
        ) from error


def read_dataset(name: str, *, size: int | None, limit: int | None) -> Dataset:
    """Return the dataset in a file or folder, or the shipped one.

    Raises
    ------
    DataError
        There is none, or it does not read.
    """
    from photonpu.models.datasets import load_dataset
    from photonpu.models.zoo import evaluation_set

    path = evaluation_set() if name == SHIPPED else Path(name)
    if not path.exists():
        raise DataError(f"'{name}': no such file or folder; --data {SHIPPED} uses the shipped set")
    return load_dataset(path, size=size, limit=limit)


def read_choice(
    keep_digital: Sequence[str] | None, only: Sequence[str] | None, activation_products: str
) -> Choice:
    """Return which nodes may run on the mesh.

    Raises
    ------
    InputError
        Products of two activations are sent neither to the mesh nor to the digital unit.
    """
    from photonpu.compiler.choice import Choice

    return Choice.of(keep_digital or (), only, activation_products)


def read_program(
    source: str | Checked,
    machine: str | None,
    settings: Sequence[str] | None,
    reading: Reading,
    *,
    calibration: Arrays | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    choice: Choice | None = None,
    rule: tuple[str, str] | None = None,
) -> tuple[Program, Machine]:
    """Return the program in a ``.ppu`` file or compiled from a model, and the machine it runs on.

    `source` is what a user named, or what `read_model` gave; `rule` is the method of calibration,
    and what has a range of its own.

    Raises
    ------
    MachineError
        No such machine, or a value that it refuses.
    ModelError
        No such model, or one that does not read.
    InputError
        A program is given with `calibration`, `shapes`, a `choice` or a `rule`, which its compiler
        has fixed; or the choice names no node, or the rule is none.
    ProgramError
        The file is damaged, or was compiled for a machine of other ports, topology or cores.
    """
    from photonpu.compiler.choice import EVERYTHING

    choice = choice or EVERYTHING
    if not isinstance(source, str) or not source.endswith(".ppu"):
        from photonpu.compiler import compile

        target = read_machine(machine, settings)
        if isinstance(source, str):
            source = read_model(source, reading, calibration=calibration, shapes=shapes)
        program = compile(
            source,
            target,
            calibration=calibration,
            shapes=shapes,
            keep_digital=choice.keep_digital,
            only=choice.only,
            activation_products=choice.activation_products,
            calibration_method=rule[0] if rule else "max",
            calibration_per=rule[1] if rule else "tile",
        )
        return program, target

    from photonpu.program import Program
    from photonpu.simulator.session import fitting

    if calibration is not None or shapes:
        raise InputError(
            f"'{source}' was compiled already: --calibration and --shape are for models"
        )
    if rule not in (None, ("max", "tile")):
        raise InputError(
            f"'{source}' was compiled already: --calibration-method and --calibration-per are for "
            "models"
        )
    if choice != EVERYTHING:
        raise InputError(
            f"'{source}' was compiled already: --keep-digital, --only and --activation-products "
            "are for models"
        )
    if not Path(source).is_file():
        raise ProgramError(f"'{source}': no such file; `photonpu compile` makes one")
    program = Program.load(source)
    if machine is None:
        target = program.machine.override(pairs(settings, "--set"))
    else:
        target = read_machine(machine, settings)
    return program, fitting(program, target)
