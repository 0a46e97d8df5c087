"""What would become of a model: its operators by lane, its tiles, and why products stay digital.

Nothing is decomposed for it, which is what takes the time of a compilation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from photonpu.compiler import reader
from photonpu.compiler.choice import Choice
from photonpu.compiler.graph import Graph
from photonpu.compiler.lanes import Digital, OnMesh, lanes
from photonpu.compiler.pipeline import Array, name_of, shapes_of, simplified
from photonpu.compiler.untrusted.checked import Checked
from photonpu.compiler.untrusted.limits import Limits
from photonpu.hardware import Machine

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Inspection:
    """What would become of a model on a machine.

    Attributes
    ----------
    name
        The model's name.
    machine
        The machine.
    operators_in_file
        Operators before anything was folded.
    lanes
        Every operator that is left, in an order in which they can run.
    source
        The model as it was read.
    graph
        What the compiler made of it.
    notes
        What a user would want to know before compiling.
    """

    name: str
    machine: Machine
    operators_in_file: int
    lanes: tuple[OnMesh | Digital, ...]
    source: onnx.ModelProto = field(repr=False, compare=False)
    graph: Graph = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()

    @property
    def on_mesh(self) -> tuple[OnMesh, ...]:
        """The operators on the meshes."""
        return tuple(operator for operator in self.lanes if isinstance(operator, OnMesh))

    @property
    def digital(self) -> tuple[Digital, ...]:
        """The operators on the digital unit."""
        return tuple(operator for operator in self.lanes if isinstance(operator, Digital))

    @property
    def tiles(self) -> int:
        """Tiles of all matrices."""
        return sum(operator.tiles for operator in self.on_mesh)

    @property
    def mac_share(self) -> float:
        """Share of the multiply-accumulates that run on the meshes, 0 to 1."""
        on_mesh = sum(operator.macs for operator in self.on_mesh)
        total = on_mesh + sum(operator.macs for operator in self.digital)
        return on_mesh / total if total else 0.0

    @property
    def utilisation(self) -> float:
        """Share of what the meshes multiply that the model asks for, 0 to 1; the rest is zeros."""
        return self.used(self.on_mesh)

    def used(self, products: Iterable[OnMesh]) -> float:
        """Return the utilisation of the meshes by some of the operators on them, 0 to 1."""
        products = tuple(products)
        multiplied = sum(product.passes for product in products) * self.machine.mesh.ports**2
        return sum(product.macs for product in products) / multiplied if multiplied else 0.0


def inspect(
    model: str | Path | bytes | onnx.ModelProto | Checked,
    machine: Machine | str = "mzi64-eo",
    *,
    calibration: Array | Mapping[str, Array] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    keep_digital: str | Iterable[str] = (),
    only: str | Iterable[str] | None = None,
    activation_products: str = "digital",
    limits: Limits | None = None,
) -> Inspection:
    """Say what would become of a model, without compiling it.

    Parameters
    ----------
    model
        Path, bytes or `onnx.ModelProto`, or what was read and checked already.
    machine
        The machine, or the name of a preset.
    calibration
        Samples as for `photonpu.compile`, of which the first is run. Without any, inputs are ones,
        and zeros where they are no fractions; most networks have the same shapes for them.
    shapes
        For inputs with free axes beyond the first: their shapes; without them, those of the
        calibration data.
    keep_digital, only, activation_products, limits
        As for `photonpu.compile`.

    Returns
    -------
    Inspection
        Operators by lane, tiles, and what stays digital and why.

    Raises
    ------
    ModelError
        The model cannot be read or is malformed.
    UnsupportedModelError
        Neither the mesh nor the digital unit can run it.
    InputError
        The calibration data do not fit, or it needs some; a name of `keep_digital` or `only`
        matches no node.
    """
    machine = Machine.of(machine)
    choice = Choice.of(keep_digital, only, activation_products)
    limits = reader.limits_of(model, limits)
    proto = reader.read(model, limits=limits)
    graph = simplified(proto, {**shapes_of(calibration, proto), **(shapes or {})}, limits)
    notes = []
    if calibration is None:
        notes = [
            f"input '{info.name}' is {info.dtype}: compiling needs calibration samples"
            for info in graph.inputs
            if not np.issubdtype(np.dtype(info.dtype), np.floating)
        ]
    found = lanes(graph, machine, calibration, choice, choice.kept(graph, proto))
    if not any(isinstance(operator, OnMesh) for operator in found):
        notes.append("no operator of this model runs on the mesh")
    if any(isinstance(operator, OnMesh) and operator.held for operator in found):
        notes.append(
            "products of two activations reprogram the mesh for each sample: `photonpu estimate` "
            "says what that takes"
        )
    return Inspection(
        name=name_of(model, proto),
        machine=machine,
        operators_in_file=len(proto.graph.node),
        lanes=found,
        source=proto,
        graph=graph,
        notes=tuple(notes),
    )
