"""A compiled program: steps in order, and the bank of tiles that they stream through.

A program holds all that a machine needs to run a network and nothing of the network's weights
but as phases: the simulator computes through them, the estimate counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.program.geometry import Geometry

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, element type (NumPy's name) and shape of a tensor; a ``str`` is a free axis."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class TileBank:
    """All tiles of a program as structure of arrays; T tiles, N ports, K MZIs a mesh.

    Tile ``t`` multiplies by ``scale[t] * U diag(sin(attenuator[t] / 2)) V^H``: light passes the
    mesh of ``V^H`` (index 0), the attenuators, and the mesh of ``U`` (index 1).

    Attributes
    ----------
    theta, phi
        (T, 2, K) internal and external phases in the order of the topology's layout, rad.
    psi
        (T, 2, N) phases after the last column, rad.
    attenuator
        (T, N) internal phases of the attenuators, rad.
    scale
        (T,) largest singular value of the tile, in the unit of the weights.
    row, column
        (T,) where the tile's block begins in the matrix of its stream.
    rows, columns
        (T,) how much of the tile is used; the rest is padding.
    core, turn
        (T,) the core it runs on, and when: turns of one stream follow one another.
    adc_range
        (T,) full scale of the ADC: the largest partial sum that is represented, in units of
        ``scale * input_range``; or (T, N), where each output port has its own.
    """

    theta: Floats
    phi: Floats
    psi: Floats
    attenuator: Floats
    scale: Floats
    row: Ints
    column: Ints
    rows: Ints
    columns: Ints
    core: Ints
    turn: Ints
    adc_range: Floats

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.scale)

    @property
    def ports(self) -> int:
        """Ports of a tile."""
        return int(self.psi.shape[2])

    @property
    def port_ranges(self) -> Floats:
        """Full scale of the ADC of each output port, (T, N), as `adc_range`."""
        ranges = self.adc_range.reshape(len(self), -1) if len(self) else np.empty((0, 1))
        return np.broadcast_to(ranges, (len(self), self.ports))


@dataclass(frozen=True, slots=True)
class PhotonicStep:
    """One product with constant matrices, on the meshes.

    Attributes
    ----------
    name, op
        The node's name in the model, and its ONNX operator.
    input, output
        Names of the tensors.
    geometry
        How the input becomes vectors and the vectors become the output.
    tiles
        For each stream of the geometry, first and last + 1 of its tiles in the bank.
    vectors
        For each stream, vectors a sample at the shape that was compiled for. A sample is one
        entry of a free batch axis; a network without one takes one sample a run.
    input_range
        Full scale of the input DAC: the largest absolute input that is represented.
    bias
        (out_channels,) added after the ADC, digitally; None for none.
    in_elements, out_elements
        Elements of the input and output tensors of one sample.
    macs
        Multiply-accumulates of one sample, padding not counted.
    correction
        (2, out_channels) what is multiplied with the output and then added to it, digitally, to
        make up for the errors of one chip; None for nothing.
    """

    name: str
    op: str
    input: str
    output: str
    geometry: Geometry
    tiles: tuple[tuple[int, int], ...]
    vectors: tuple[int, ...]
    input_range: float
    bias: NDArray[np.float32] | None
    in_elements: int
    out_elements: int
    macs: int
    correction: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class ReprogrammedStep:
    """One product of two activations: the mesh is programmed anew for each sample.

    The tiles of the held factor are decomposed when it is known, and their phases are set before
    the other factor streams through them.

    Attributes
    ----------
    name, op
        The node's name in the model, and its ONNX operator.
    left, right, output
        Names of the factors and of the product.
    held
        Which of the factors is in the mesh.
    matrices
        Matrices of the held factor, one sample's. A sample is as for a `PhotonicStep`.
    rows, columns
        Size of one of them.
    vectors
        Vectors that stream through all of them together, one sample's.
    input_range
        Full scale of the input DAC: the largest absolute input that is represented.
    adc_range
        (T,) for each tile of a matrix the full scale of the ADC, or (T, N), as in a `TileBank`.
    phase_pi
        Sum of the wrapped phases of a tile in units of pi, the mean over the calibration.
    in_elements, out_elements
        Elements of both factors together and of the product, one sample's.
    macs
        Multiply-accumulates of one sample, padding not counted.
    """

    name: str
    op: str
    left: str
    right: str
    output: str
    held: Literal["left", "right"]
    matrices: int
    rows: int
    columns: int
    vectors: int
    input_range: float
    adc_range: Floats
    phase_pi: float
    in_elements: int
    out_elements: int
    macs: int

    @property
    def tiles(self) -> int:
        """Tiles of one matrix."""
        return len(self.adc_range)


@dataclass(frozen=True, slots=True)
class HostOperator:
    """What one ONNX operator costs the digital unit for one sample.

    Attributes
    ----------
    name, op
        Node name and ONNX operator.
    operations
        Elementary operations; a multiply-accumulate counts as two.
    elements_in, elements_out
        Elements read and written.
    macs
        Multiply-accumulates among the operations; 0 but for products and what holds some.
    """

    name: str
    op: str
    operations: int
    elements_in: int
    elements_out: int
    macs: int = 0


@dataclass(frozen=True, slots=True)
class HostStep:
    """A maximal run of digital operators, one onnxruntime session.

    Attributes
    ----------
    name
        ``digital/0``, ``digital/1``, ... in order.
    model
        The segment as a serialised ONNX model.
    inputs, outputs
        Names of the tensors it takes and gives.
    operators
        Its operators with their cost, none left out.
    constants
        Numbers of those inputs of the model that are constants too large for its file.
    """

    name: str
    model: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[HostOperator, ...]
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Programming:
    """For which chip the phases of a program's tiles are, and how well they do.

    Attributes
    ----------
    chip
        The chip as it was measured.
    method, rounding, assignment
        Names in `photonpu.program.programming.METHODS` and `ROUNDINGS` and in
        `photonpu.program.assignment.ASSIGNMENTS`.
    unreachable
        (T,) interferometers of each tile that cannot reach the split that they should have; -1
        where nobody looked inside.
    error
        (T,) relative error of what each tile multiplies by, before the converters round it.
    """

    chip: Chip
    method: str
    rounding: str
    assignment: str
    unreachable: Ints
    error: Floats

    def text(self) -> str:
        """Return one line for people."""
        known = self.unreachable[self.unreachable >= 0]
        dead = sum(int(np.count_nonzero(getattr(self.chip, name))) for name in _DEAD)
        splits = (
            f"{int(known.sum())} splits out of reach (most in a tile {int(known.max())})"
            if len(known)
            else "splits unknown"
        )
        found = self.error if len(self.error) else np.zeros(1)
        return (
            f"programmed for chip '{self.chip.name}' ({self.chip.digest[:12]}), {self.method}, "
            f"rounding {self.rounding}, assignment {self.assignment}: {splits}, dead shifters "
            f"{dead}, relative error of a tile {found.mean():.3g} on average, {found.max():.3g} at "
            "most"
        )

    def to_dict(self) -> dict[str, object]:
        """Return everything but the chip's numbers, as plain values."""
        return {
            "chip": self.chip.name,
            "chip_sha256": self.chip.digest,
            "programming": self.method,
            "rounding": self.rounding,
            "assignment": self.assignment,
            "unreachable": self.unreachable.tolist(),
            "error": self.error.tolist(),
            "dead": {name: int(np.count_nonzero(getattr(self.chip, name))) for name in _DEAD},
        }


_DEAD = SOURCES["dead"]
Step = PhotonicStep | ReprogrammedStep | HostStep


@dataclass(frozen=True, slots=True)
class Program:
    """A network compiled for one machine.

    Attributes
    ----------
    name
        The model's name.
    machine
        What it was compiled for.
    inputs, outputs
        The model's interface.
    steps
        In the order they run.
    tiles
        Every tile of every photonic step.
    model_sha256
        Hash of the ONNX file.
    parameters
        Numbers in the model's constant tensors, before any folding.
    notes
        What the compiler wants known: default calibration, operators left digital.
    programming
        For which chip the phases are; None for those of a perfect chip, which the machine corrects
        as it runs.
    """

    name: str
    machine: Machine
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    steps: tuple[Step, ...]
    tiles: TileBank
    model_sha256: str
    parameters: int
    notes: tuple[str, ...] = ()
    programming: Programming | None = None

    @property
    def photonic_steps(self) -> tuple[PhotonicStep, ...]:
        """The products with constant matrices, in order."""
        return tuple(step for step in self.steps if isinstance(step, PhotonicStep))

    @property
    def reprogrammed_steps(self) -> tuple[ReprogrammedStep, ...]:
        """The products of two activations on the meshes, in order."""
        return tuple(step for step in self.steps if isinstance(step, ReprogrammedStep))

    @property
    def mesh_steps(self) -> tuple[PhotonicStep | ReprogrammedStep, ...]:
        """All steps on the meshes, in order."""
        return tuple(step for step in self.steps if not isinstance(step, HostStep))

    @property
    def host_steps(self) -> tuple[HostStep, ...]:
        """The digital steps, in order."""
        return tuple(step for step in self.steps if isinstance(step, HostStep))

    def text(self) -> str:
        """Return the program with one line for each input, step and output."""
        from photonpu.program.text import text

        return text(self)

    def save(self, path: str | Path) -> None:
        """Write the program to one safetensors file; see `photonpu.program.format.save`."""
        from photonpu.program.format import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Program:
        """Read a program that `save` wrote; see `photonpu.program.format.load`."""
        from photonpu.program.format import load

        return load(path)
