"""The stages of the compiler, each as text that a person can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from photonpu.compiler import reader, simplifier
from photonpu.compiler.choice import EVERYTHING, Choice
from photonpu.compiler.graph import Graph, from_model
from photonpu.compiler.lanes import Digital, OnMesh, lanes
from photonpu.compiler.pipeline import Array, compile, shapes_of, simplified
from photonpu.compiler.untrusted.checked import Checked
from photonpu.compiler.untrusted.limits import DEFAULT, Limits
from photonpu.hardware import Machine
from photonpu.program import Stream
from photonpu.registry import Registry

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Source:
    """What is compiled: the arguments of `photonpu.compile`."""

    model: str | Path | bytes | onnx.ModelProto | Checked
    machine: Machine
    calibration: Array | Mapping[str, Array] | None = None
    shapes: Mapping[str, Sequence[int]] | None = None
    choice: Choice = EVERYTHING
    limits: Limits = DEFAULT

    def proto(self) -> onnx.ModelProto:
        """Return the model, checked."""
        return reader.read(self.model, limits=self.limits)

    def shapes_for(self, proto: onnx.ModelProto) -> dict[str, Sequence[int]]:
        """Return the shapes that the inputs get, by hand or by the calibration data."""
        return {**shapes_of(self.calibration, proto), **(self.shapes or {})}

    def graph(self) -> Graph:
        """Return the graph after all passes."""
        proto = self.proto()
        return simplified(proto, self.shapes_for(proto), self.limits)

    def lanes(self) -> tuple[OnMesh | Digital, ...]:
        """Return what becomes of each node of that graph."""
        proto = self.proto()
        graph = simplified(proto, self.shapes_for(proto), self.limits)
        kept = self.choice.kept(graph, proto)
        return lanes(graph, self.machine, self.calibration, self.choice, kept)


#: Stage -> the text of what it gives, in the order in which they run.
STAGES: Registry[Callable[[Source], str]] = Registry("stage")


@STAGES.register("read")
def read(source: Source) -> str:
    """Return the graph as the file has it, checked."""
    return from_model(source.proto()).text()


@STAGES.register("simplify")
def simplify(source: Source) -> str:
    """Return the graph after onnxruntime folded what is constant."""
    proto = source.proto()
    shapes = source.shapes_for(proto)
    return from_model(*simplifier.simplify(proto, shapes, limits=source.limits)).text()


@STAGES.register("passes")
def passes(source: Source) -> str:
    """Return the graph after all passes."""
    return source.graph().text()


@STAGES.register("lower")
def lower(source: Source) -> str:
    """Return matrix products with their windows, and why other products stay digital."""
    found = source.lanes()
    return _lines(_lowered(o) if isinstance(o, OnMesh) else _digital(o) for o in found)


@STAGES.register("tile")
def tile(source: Source) -> str:
    """Return matrix products with the rectangles that become tiles."""
    found = source.lanes()
    ports = source.machine.mesh.ports
    return _lines(_tiled(o, ports) if isinstance(o, OnMesh) else _digital(o) for o in found)


@STAGES.register("program")
def program(source: Source) -> str:
    """Return the compiled program."""
    return compile(
        source.model,
        source.machine,
        calibration=source.calibration,
        shapes=source.shapes,
        keep_digital=source.choice.keep_digital,
        only=source.choice.only,
        activation_products=source.choice.activation_products,
        limits=source.limits,
    ).text()


def stage_text(
    model: str | Path | bytes | onnx.ModelProto | Checked,
    machine: Machine | str = "mzi64-eo",
    stage: str = "program",
    *,
    calibration: Array | Mapping[str, Array] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    keep_digital: str | Iterable[str] = (),
    only: str | Iterable[str] | None = None,
    activation_products: str = "digital",
    limits: Limits | None = None,
) -> str:
    """Compile as far as a stage, and print what it gives.

    Parameters
    ----------
    model, machine, calibration, shapes, keep_digital, only, activation_products, limits
        As for `photonpu.compile`.
    stage
        One of `STAGES`.

    Returns
    -------
    str
        Lines that end in a newline: one for each tensor, operator or step.

    Raises
    ------
    UnknownNameError
        There is no such stage.
    ModelError
        The model cannot be read or is malformed.
    UnsupportedModelError
        Neither the mesh nor the digital unit can run it.
    InputError
        The calibration data do not fit, or a name of `keep_digital` or `only` matches no node.
    """
    show = STAGES[stage]
    choice = Choice.of(keep_digital, only, activation_products)
    limits = reader.limits_of(model, limits)
    return show(Source(model, Machine.of(machine), calibration, shapes, choice, limits))


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _digital(operator: Digital) -> str:
    outputs, inputs = ", ".join(operator.outputs), ", ".join(operator.inputs)
    reason = f": {operator.reason}" if operator.product else ""
    return f"digital {outputs} = {operator.op}({inputs}){reason}"


def _lowered(product: OnMesh) -> str:
    """Return one line for a product: its matrices, its vectors, its windows."""
    geometry = product.geometry
    parts = [
        f"{_matrix(product, stream)} over {vectors} vectors{_window(stream)}"
        for stream, vectors in zip(geometry.streams, product.vectors, strict=True)
    ]
    bias = "; bias" if product.bias else ""
    return f"{_head(product)}{'; '.join(parts)}{bias}"


def _tiled(product: OnMesh, ports: int) -> str:
    """Return one line for a product: its matrices, and their tiles by size."""
    parts = []
    for stream, places in zip(product.geometry.streams, product.blocks, strict=True):
        counted = Counter((place.rows, place.columns) for place in places)
        sizes = ", ".join(f"{n} of {rows}x{columns}" for (rows, columns), n in counted.items())
        parts.append(f"{_matrix(product, stream)} in {len(places)} tiles of {ports}: {sizes}")
    return f"{_head(product)}{'; '.join(parts)}"


def _head(product: OnMesh) -> str:
    held = f" x {product.held}, reprogrammed for each sample" if product.held else ""
    return f"mesh    {product.output} = {product.op}({product.input}{held}): "


def _matrix(product: OnMesh, stream: Stream) -> str:
    rows, columns = product.geometry.matrix_shape(stream)
    groups = product.geometry.groups
    blocks = "" if groups == 1 else f"{groups} groups of "
    blocks += "" if product.matrices == 1 else f"{product.matrices} of "
    return f"{blocks}{rows // groups}x{columns // groups}"


def _window(stream: Stream) -> str:
    """Return what is not plain about the windows of a stream, begun by a comma."""
    window = stream.window
    pads = (*window.pads_begin, *window.pads_end)
    words = [
        f"kernel {_by(window.kernel)}" if window.kernel else "",
        f"strides {_by(window.strides)}" if set(window.strides) - {1} else "",
        f"dilations {_by(window.dilations)}" if set(window.dilations) - {1} else "",
        f"pads {' '.join(map(str, pads))}" if any(pads) else "",
        f"{len(stream.offsets)} offsets" if len(stream.offsets) > 1 else "",
    ]
    return "".join(f", {word}" for word in words if word)


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
