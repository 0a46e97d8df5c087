"""One fabricated chip: the errors that its components were made with."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import MachineError
from photonpu.hardware.machine import Machine
from photonpu.hardware.topologies import SIZES
from photonpu.keyed import normal_arrays
from photonpu.registry import UnknownNameError, did_you_mean
from photonpu.storage import atomic_write

Floats = NDArray[np.float64]
_MAX_BYTES = 1 << 31

# Which arrays hold the errors of a source, and their number as a stream of random numbers: a
# number that is given away keeps its meaning, so that a seed stays the same chip.
_STREAMS = {
    "splitter_in": 1,
    "splitter_out": 2,
    "theta_error": 3,
    "phi_error": 4,
    "psi_error": 5,
    "attenuator_splitter_in": 6,
    "attenuator_splitter_out": 7,
    "attenuator_error": 8,
    "mzi_loss_db": 9,
    "attenuator_loss_db": 10,
    "splitter_third": 11,
    "theta_stuck": 12,
    "phi_stuck": 13,
    "psi_stuck": 14,
    "attenuator_stuck": 15,
    "mzi_imbalance_db": 20,
    "attenuator_imbalance_db": 21,
    "theta_response": 22,
    "phi_response": 23,
    "psi_response": 24,
    "attenuator_response": 25,
}
ARRAYS = tuple(_STREAMS)
_SETTINGS = 4  # streams further: the settings that dead shifters are stuck at
SOURCES = {
    "splitter": (
        "splitter_in",
        "splitter_out",
        "splitter_third",
        "attenuator_splitter_in",
        "attenuator_splitter_out",
    ),
    "phase": ("theta_error", "phi_error", "psi_error", "attenuator_error"),
    "loss": ("mzi_loss_db", "attenuator_loss_db"),
    "dead": ("theta_stuck", "phi_stuck", "psi_stuck", "attenuator_stuck"),
    "imbalance": ("mzi_imbalance_db", "attenuator_imbalance_db"),
    "heater": ("theta_response", "phi_response", "psi_response", "attenuator_response"),
}
# Which older files lack.
_LATER = ("splitter_third", *SOURCES["dead"], *SOURCES["imbalance"], *SOURCES["heater"])
_MOST = 3.0  # standard deviations, where a distribution is cut


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """One fabricated instance of a machine; its arrays are read-only.

    C cores, K interferometers a mesh in the order of the topology's layout, N ports. The second
    axis is the mesh: 0 is that of ``V^H``, which light meets first, and 1 that of ``U``. All
    tiles that run on a core meet the same errors.

    Attributes
    ----------
    name
        What it is called in reports.
    seed
        What it was drawn from; None for one that was measured.
    splitter_in, splitter_out
        (C, 2, K) deviations of a splitter's angle from pi/4, input and output side, rad.
    splitter_third
        (C, 2, K) the same for the splitters before the interferometers; 0 where there are none.
    theta_error, phi_error
        (C, 2, K) errors of the internal and external phases, rad.
    psi_error
        (C, 2, N) errors of the phases after the last column, rad.
    attenuator_splitter_in, attenuator_splitter_out
        (C, N) deviations of the angles of the attenuators' splitters, rad.
    attenuator_error
        (C, N) errors of the attenuators' internal phases, rad.
    mzi_loss_db
        (C, 2, K) insertion losses, dB of power.
    attenuator_loss_db
        (C, N) insertion losses of the attenuators, dB of power.
    theta_stuck, phi_stuck
        (C, 2, K) settings that dead phase shifters are stuck at, rad in (0, 2 pi]; 0 for those that
        work. One that no longer heats is stuck at a whole turn.
    psi_stuck
        (C, 2, N) the same for the shifters after the last column.
    attenuator_stuck
        (C, N) the same for those of the attenuators.
    mzi_imbalance_db
        (C, 2, K) what the upper arm loses more than the lower one, dB of power; the insertion
        loss is the mean of both.
    attenuator_imbalance_db
        (C, N) the same of the attenuators.
    theta_response, phi_response
        (C, 2, K) how much more phase a setting gives than it should, relative; 0 for none.
    psi_response
        (C, 2, N) the same for the shifters after the last column.
    attenuator_response
        (C, N) the same for those of the attenuators.
    """

    name: str
    seed: int | None
    splitter_in: Floats
    splitter_out: Floats
    splitter_third: Floats
    theta_error: Floats
    phi_error: Floats
    psi_error: Floats
    attenuator_splitter_in: Floats
    attenuator_splitter_out: Floats
    attenuator_error: Floats
    mzi_loss_db: Floats
    attenuator_loss_db: Floats
    theta_stuck: Floats
    phi_stuck: Floats
    psi_stuck: Floats
    attenuator_stuck: Floats
    mzi_imbalance_db: Floats
    attenuator_imbalance_db: Floats
    theta_response: Floats
    phi_response: Floats
    psi_response: Floats
    attenuator_response: Floats

    def __post_init__(self) -> None:
        """Check that the shapes agree and the numbers are finite; make the arrays read-only."""
        if self.splitter_in.ndim != 3 or self.psi_error.ndim != 3:
            raise MachineError(
                f"chip '{self.name}': 'splitter_in' and 'psi_error' need the axes "
                "(core, mesh, element)"
            )
        cores, ports = self.psi_error.shape[0], self.psi_error.shape[2]
        mzis = self.splitter_in.shape[2]
        for name, shape in _shapes(cores, ports, mzis).items():
            array = getattr(self, name)
            if array.shape != shape:
                raise MachineError(
                    f"chip '{self.name}': '{name}' has the shape {array.shape}; {cores} cores "
                    f"of {ports} ports and {mzis} interferometers a mesh need {shape}"
                )
            if not np.isfinite(array).all():
                raise MachineError(f"chip '{self.name}': '{name}' has numbers that are not finite")
            array.flags.writeable = False

    @property
    def cores(self) -> int:
        """Number of cores."""
        return int(self.psi_error.shape[0])

    @property
    def ports(self) -> int:
        """Ports of each mesh."""
        return int(self.psi_error.shape[2])

    @property
    def arrays(self) -> dict[str, Floats]:
        """All arrays by name."""
        return {name: getattr(self, name) for name in _STREAMS}

    @property
    def digest(self) -> str:
        """SHA-256 of all numbers, the same for the same chip whatever it is called."""
        found = sha256()
        for name, array in self.arrays.items():
            found.update(f"{name} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    @classmethod
    def draw(cls, machine: Machine, seed: int) -> Chip:
        """Return the chip that `seed` stands for, on a machine's statistics.

        Errors are normal: splitter angles with ``mesh.splitter_error_rad``, phases with
        ``phase.error_rad``, losses around ``mesh.mzi_loss_db`` with ``mesh.mzi_loss_std_db``, cut
        at 0; of all phase shifters the share ``phase.dead_share`` is stuck, anywhere. Arms lose
        differently by ``mesh.mzi_imbalance_db`` and its ``_std_db``, cut so that neither
        amplifies; the responses of shifters differ by ``phase.gamma_error_rad_per_v2``, cut at
        three standard deviations. Different seeds, cores and quantities are independent: what
        neighbours have in common `photonpu.mesh.varied` lays over them. The draws behind them do
        not depend on the machine's numbers: a seed keeps its pattern in a sweep over their
        strength.

        Raises
        ------
        InputError
            If the seed is not a whole number from 0 to ``2**64 - 1``.
        """
        scales = {
            "splitter": (0.0, machine.mesh.splitter_error_rad),
            "phase": (0.0, machine.phase.error_rad),
            "loss": (machine.mesh.mzi_loss_db, machine.mesh.mzi_loss_std_db),
        }
        arrays: dict[str, Floats] = {}
        third = SIZES[machine.mesh.topology].third
        for source, (mean, deviation) in scales.items():
            for name in SOURCES[source]:
                if name != "splitter_third" or third:
                    draws = _draw(seed, _STREAMS[name], name, machine)
                    arrays[name] = mean + deviation * draws
        for name in SOURCES["loss"]:
            arrays[name] = np.maximum(arrays[name], 0.0)
        for name in SOURCES["dead"]:
            arrays[name] = _draw_stuck(seed, name, machine)
        for name, loss in zip(SOURCES["imbalance"], SOURCES["loss"], strict=True):
            arrays[name] = _draw_imbalance(seed, name, machine, arrays[loss])
        for name in SOURCES["heater"]:
            arrays[name] = _draw_response(seed, name, machine)
        if not third:
            arrays["splitter_third"] = np.zeros_like(arrays["splitter_in"])
        if SIZES[machine.mesh.topology].real:
            for shifter in ("phi", "psi"):
                for kind in ("error", "stuck", "response"):
                    name = f"{shifter}_{kind}"
                    arrays[name] = np.zeros_like(arrays[name])
        return cls(f"{machine.name}/{seed}", seed, **arrays)

    @classmethod
    def ideal(cls, machine: Machine) -> Chip:
        """Return a chip without errors and losses."""
        shapes = _shapes(machine.cores, machine.mesh.ports, machine.mesh.mzis)
        return cls("ideal", None, **{name: np.zeros(shape) for name, shape in shapes.items()})

    def without(self, sources: Iterable[str]) -> Chip:
        """Return a copy in which some sources of error are 0.

        Parameters
        ----------
        sources
            Out of ``"splitter"``, ``"phase"``, ``"loss"``, ``"dead"``, ``"imbalance"`` and
            ``"heater"``.

        Raises
        ------
        UnknownNameError
            If a source has another name.
        """
        arrays = self.arrays
        for source in sources:
            if source not in SOURCES:
                raise UnknownNameError(
                    f"no source of a chip's errors is called '{source}'"
                    f"{did_you_mean(source, SOURCES)}"
                )
            arrays |= {name: np.zeros_like(arrays[name]) for name in SOURCES[source]}
        return Chip(self.name, self.seed, **arrays)

    def save(self, path: str | Path) -> None:
        """Write the chip to an ``.npz`` file.

        Raises
        ------
        StorageError
            If the file cannot be written; what was there before is untouched.
        """
        arrays = self.arrays

        def write(file: BinaryIO) -> None:
            np.savez(file, **arrays)  # type: ignore[arg-type]

        atomic_write(path, write)

    @classmethod
    def load(cls, path: str | Path) -> Chip:
        """Read a chip, such as one that was measured, from an ``.npz`` file.

        Raises
        ------
        MachineError
            If the file is missing, no ``.npz``, larger than 2 GB, lacks an array or has one that
            is not known, or if shapes do not fit each other or a number is not finite.
        """
        source = Path(path)
        try:
            with zipfile.ZipFile(source) as archive:
                size = sum(item.file_size for item in archive.infolist())
            if size > _MAX_BYTES:
                raise MachineError(f"chip file '{path}' holds {size} bytes; 2 GB is the limit")
            with np.load(source, allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            why = getattr(error, "strerror", None) or error
            raise MachineError(
                f"cannot read chip file '{path}': {why}; Chip.save writes such files"
            ) from error
        if "splitter_in" in found and "psi_error" in found:
            sizes = found["psi_error"].shape, found["splitter_in"].shape
            if all(len(size) == 3 for size in sizes):
                shapes = _shapes(sizes[0][0], sizes[0][2], sizes[1][2])
                for name in _LATER:
                    found.setdefault(name, np.zeros(shapes[name]))
        missing = [name for name in _STREAMS if name not in found]
        unknown = [
            f"{name}{did_you_mean(name, _STREAMS)}" for name in found if name not in _STREAMS
        ]
        if missing or unknown:
            raise MachineError(
                f"chip file '{path}': missing arrays: {', '.join(missing) or 'none'}; "
                f"unknown arrays: {', '.join(unknown) or 'none'}"
            )
        try:
            arrays = {
                name: array.astype(np.float64, casting="safe") for name, array in found.items()
            }
        except TypeError as error:
            raise MachineError(f"chip file '{path}': an array is not of real numbers") from error
        return cls(source.stem, None, **arrays)


def _draw(seed: int, stream: int, name: str, machine: Machine) -> Floats:
    """Return normal numbers for each element of an array."""
    shape = _shapes(machine.cores, machine.mesh.ports, machine.mesh.mzis)[name][1:]
    streams = ((stream, core) for core in range(machine.cores))
    return normal_arrays(seed, *streams, shape=shape)


def _draw_stuck(seed: int, name: str, machine: Machine) -> Floats:
    """Return what dead shifters are stuck at, 0 for those that work."""
    share = machine.phase.dead_share
    if share == 0.0:
        return np.zeros(_shapes(machine.cores, machine.mesh.ports, machine.mesh.mzis)[name])
    from scipy.special import ndtr

    dead = ndtr(_draw(seed, _STREAMS[name], name, machine)) < share
    setting = 2.0 * np.pi * (1.0 - ndtr(_draw(seed, _STREAMS[name] + _SETTINGS, name, machine)))
    return np.where(dead, np.maximum(setting, 1e-9), 0.0)


def _draw_imbalance(seed: int, name: str, machine: Machine, loss_db: Floats) -> Floats:
    """Return what upper arms lose more than lower ones; an arm that gains nothing is the most."""
    mean, deviation = machine.mesh.mzi_imbalance_db, machine.mesh.mzi_imbalance_std_db
    if mean == deviation == 0.0:
        return np.zeros_like(loss_db)
    drawn = mean + deviation * _draw(seed, _STREAMS[name], name, machine)
    return np.clip(drawn, -2.0 * loss_db, 2.0 * loss_db)


def _draw_response(seed: int, name: str, machine: Machine) -> Floats:
    """Return relative errors of shifters' responses: normal, of the part within three sigma."""
    deviation = machine.phase.response_error
    if deviation == 0.0:
        return np.zeros(_shapes(machine.cores, machine.mesh.ports, machine.mesh.mzis)[name])
    from scipy.special import ndtr, ndtri

    share = ndtr(_draw(seed, _STREAMS[name], name, machine))
    lowest = ndtr(-_MOST)
    found: Floats = deviation * ndtri(lowest + share * (1.0 - 2.0 * lowest))
    return found


def _shapes(cores: int, ports: int, mzis: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of a chip."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_STREAMS, (cores, 2, mzis))
    shapes |= {name: (cores, ports) for name in _STREAMS if name.startswith("attenuator")}
    return shapes | dict.fromkeys(("psi_error", "psi_stuck", "psi_response"), (cores, 2, ports))
