"""A chip from a table of measurements, one line for each interferometer."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import MachineError
from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.mesh.topologies import MESHES
from photonpu.registry import did_you_mean

Floats = NDArray[np.float64]

PLACE = ("core", "mesh", "column", "row")
#: Column of the table -> (array of interferometers, array of attenuators) of a `Chip`.
QUANTITIES = {
    "alpha": ("splitter_in", "attenuator_splitter_in"),
    "beta": ("splitter_out", "attenuator_splitter_out"),
    "gamma": ("splitter_third", ""),
    "theta_error": ("theta_error", "attenuator_error"),
    "phi_error": ("phi_error", ""),
    "loss_db": ("mzi_loss_db", "attenuator_loss_db"),
    "theta_stuck": ("theta_stuck", "attenuator_stuck"),
    "phi_stuck": ("phi_stuck", ""),
    "imbalance_db": ("mzi_imbalance_db", "attenuator_imbalance_db"),
    "theta_response": ("theta_response", "attenuator_response"),
    "phi_response": ("phi_response", ""),
}
_MESHES = {"vh": 0, "u": 1, "0": 0, "1": 1}
_LOSS = "loss_db"  # empty for what nobody measured, unlike an error
_ATTENUATOR = "attenuator"
_ANGLES = ("alpha", "beta", "gamma")
_MOST_LINES = 20_000_000


def read_map(path: str | Path, machine: Machine) -> Chip:
    """Return the chip that a CSV table of measurements describes.

    Columns ``core``, ``mesh`` (``vh``, ``u`` or ``attenuator``), ``column`` (empty for
    attenuators) and ``row`` say where; any of ``alpha``, ``beta``, ``gamma`` (errors of the
    angles of the input, output and third splitter, rad), ``theta_error``, ``phi_error`` (rad),
    ``loss_db``, and ``theta_stuck``, ``phi_stuck`` (the setting that a dead shifter is stuck at, in
    (0, 2 pi]; 0 or empty for one that works), ``imbalance_db`` (what the upper arm loses more than
    the lower one), ``theta_response`` and ``phi_response`` (how much more phase a setting gives
    than it should, relative) say what. Lines that begin with ``#`` are passed over.

    Parameters
    ----------
    path
        The table.
    machine
        Whose chip it is: cores, ports and topology.

    Returns
    -------
    Chip
        What has no line, and what no column measures, is without error, and loses what
        interferometers of the machine do on average.

    Raises
    ------
    MachineError
        If the file cannot be read, a column is not known or missing, or a line is for no
        interferometer of the machine, for one that another line was for, or has no number.
    """
    topology = MESHES[machine.mesh.topology]
    layout = topology.layout(machine.mesh.ports)
    places = {
        (int(c), int(r)): k for k, (c, r) in enumerate(zip(layout.column, layout.row, strict=True))
    }
    ideal = Chip.ideal(machine)
    arrays = {
        name: getattr(ideal, name).copy()
        for name in Chip.__dataclass_fields__
        if name not in ("name", "seed")
    }
    for name in SOURCES["loss"]:
        arrays[name][:] = machine.mesh.mzi_loss_db
    seen: set[tuple[str, ...]] = set()
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = (line for line in file if not line.startswith("#"))
            table = csv.DictReader(lines, strict=True)
            measured = _columns(path, table.fieldnames or ())
            for number, line in enumerate(table, start=1):
                where = f"{path}, measurement {number}"
                if number > _MOST_LINES:
                    raise MachineError(f"{where}: more than {_MOST_LINES} are not read")
                place = tuple((line[name] or "").strip() for name in PLACE)
                if place in seen:
                    raise MachineError(f"{where}: {_told(place)} was measured above already")
                seen.add(place)
                values = {
                    name: _number(where, name, line[name])
                    for name in measured
                    if name != _LOSS or (line[name] or "").strip()
                }
                _enter(where, place, values, arrays, places)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise MachineError(
            f"cannot read splitter map '{path}': {why}; name a table of measurements (CSV, UTF-8)"
        ) from error
    return Chip(Path(path).stem, None, **arrays)


def _columns(path: str | Path, found: Iterable[str]) -> list[str]:
    """Return which quantities a table has, or raise `MachineError` for its header."""
    names = list(found)
    missing = [name for name in PLACE if name not in names]
    unknown = [name for name in names if name not in (*PLACE, *QUANTITIES)]
    if missing or unknown or len(set(names)) < len(names):
        hints = [f"{name}{did_you_mean(name, (*PLACE, *QUANTITIES))}" for name in unknown]
        raise MachineError(
            f"splitter map '{path}': missing columns: {', '.join(missing) or 'none'}; unknown or "
            f"repeated: {', '.join(hints) or 'none'}; known are {', '.join((*PLACE, *QUANTITIES))}"
        )
    return [name for name in names if name in QUANTITIES]


def _enter(
    where: str,
    place: tuple[str, ...],
    values: dict[str, float],
    arrays: dict[str, Floats],
    places: dict[tuple[int, int], int],
) -> None:
    """Put one line's numbers where they belong."""
    core, mesh, column, row = place
    attenuators = mesh == _ATTENUATOR
    index: tuple[int, ...] | None = None
    cores, ports = arrays["attenuator_error"].shape
    if core.isdecimal() and int(core) < cores and row.isdecimal():
        if attenuators and not column and int(row) < ports:
            index = (int(core), int(row))
        elif mesh in _MESHES and column.isdecimal() and (int(column), int(row)) in places:
            index = (int(core), _MESHES[mesh], places[int(column), int(row)])
    if index is None:
        raise MachineError(
            f"{where}: the machine has no {_told(place)}; it has cores 0 to {cores - 1}, "
            f"{_rows(places, column)}, and attenuators (no column) in rows 0 to {ports - 1}"
        )
    for name, value in values.items():
        if name in _ANGLES and abs(value) > np.pi / 2.0:
            raise MachineError(
                f"{where}: {name}={value:g} rad is more than a quarter turn off an even splitter; "
                "are these degrees?"
            )
        array = QUANTITIES[name][1 if attenuators else 0]
        if not array and value:
            raise MachineError(f"{where}: an attenuator has no {name}; leave it empty")
        if array:
            arrays[array][index] = value


def _rows(places: dict[tuple[int, int], int], column: str) -> str:
    """Return which columns the meshes of a machine have, or which rows one of them has."""
    columns = sorted({place[0] for place in places})
    if column.isdecimal() and int(column) in columns:
        rows = sorted(row for at, row in places if at == int(column))
        return f"meshes 'vh' and 'u' with rows {', '.join(map(str, rows))} in column {column}"
    return f"meshes 'vh' and 'u' with columns 0 to {columns[-1]}"


def _number(where: str, name: str, text: str | None) -> float:
    """Return a finite number, 0 for an empty place, or raise `MachineError`."""
    try:
        value = float(text) if text and text.strip() else 0.0
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise MachineError(f"{where}: {name}={text!r} is no finite number")
    return value


def _told(place: tuple[str, ...]) -> str:
    """Return a place in words."""
    words = zip(PLACE, place, strict=True)
    return "interferometer with " + ", ".join(f"{name} '{value}'" for name, value in words)
