"""From an ONNX model to a program: the stages in order, each a function of values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import (
    activations,
    axes,
    calibrate,
    ceiling,
    passes,
    placement,
    reader,
    simplifier,
    steps,
    weights,
)
from photonpu.compiler.calibrate import Ranges
from photonpu.compiler.choice import Choice
from photonpu.compiler.graph import Graph, from_model
from photonpu.compiler.meanwhile import both
from photonpu.compiler.measuring import Observed
from photonpu.compiler.placement import Layer
from photonpu.compiler.ranges import Rule, adc_ranges, input_range_of
from photonpu.compiler.untrusted.checked import Checked
from photonpu.compiler.untrusted.limits import DEFAULT, Limits
from photonpu.errors import InputError, ModelError, PhotonpuWarning, UnsupportedModelError
from photonpu.hardware import Chip, Machine
from photonpu.program import (
    PhotonicStep,
    Program,
    Programming,
    ReprogrammedStep,
    TensorInfo,
    TileBank,
)
from photonpu.program import assignment as assignments
from photonpu.program import programming as programs
from photonpu.program.tiles import Banking

if TYPE_CHECKING:
    import onnx

Array = NDArray[np.generic]


def compile(
    model: str | Path | bytes | onnx.ModelProto | Checked,
    machine: Machine | str = "mzi64-eo",
    *,
    calibration: Array | Mapping[str, Array] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    name: str | None = None,
    keep_digital: str | Iterable[str] = (),
    only: str | Iterable[str] | None = None,
    activation_products: str = "digital",
    limits: Limits | None = None,
    chip: Chip | int | str | Path | None = None,
    programming: str = "local",
    rounding: str = "nearest",
    assignment: str = "round-robin",
    calibration_method: str = "max",
    calibration_per: str = "tile",
    memory_limit_mb: float | None = None,
) -> Program:
    """Compile a network for a machine, or for one chip of it.

    Parameters
    ----------
    model
        Path, bytes or `onnx.ModelProto`, or what was read and checked already.
    machine
        The machine, or the name of a preset.
    calibration
        Samples that set the ranges of DACs and ADCs: an array (S, ...) for a network of one
        input, or one for each input by name. Without any, one sample of standard normal numbers
        serves, and a warning says so.
    shapes
        For inputs with free axes beyond the first (the batch, which stays free): their shapes;
        without them, those of the calibration data. Sizes in place of those that the model fixes
        are tried.
    name
        Name of the program; else the file's or the graph's.
    keep_digital
        Names of nodes, or patterns as in a shell (``"decoder/*"``), that stay digital.
    only
        Names or patterns of the only nodes that may run on the mesh; None for all.
    activation_products
        Where MatMul of two activations runs: ``"digital"``, or ``"mesh"``, which is then programmed
        anew for each sample, as the estimate counts.
    limits
        How much the model may ask for; else those that it was read with, or the defaults.
    chip
        A measured chip to program for: a `photonpu.Chip`, a file (``.npz``, or ``.csv`` of
        measurements), or the seed of a drawn one. None leaves the correction to the run.
    programming
        How: ``"local"``, ``"refined"``, ``"self-configured"`` or ``"nominal"``, as
        `photonpu.program.programming.METHODS` says.
    rounding
        ``"nearest"``, or ``"absorbed"``: later columns make up for the rounding of earlier ones.
    assignment
        ``"round-robin"``, or ``"best"``: tiles go to the cores of the chip that suit them.
    calibration_method
        How ranges follow from the samples: ``"max"``, nothing is clipped; ``"percentile"`` or
        ``"percentile:99.9"`` of absolute values (99.99 if nobody says); ``"mse"``, the least
        squared error of rounding and clipping together, for the bits of the machine's converters.
    calibration_per
        What has an ADC range of its own: each ``"tile"``, each ``"row"`` of a tile (each output
        port), or each ``"layer"``. Input DACs have one a layer.
    memory_limit_mb
        What compiling may take, about, besides the interpreter and its libraries: what takes more
        is refused before phases are made, and a quarter of it is for tensors of the float
        network, which beyond that go node by node. None for no ceiling.

    Returns
    -------
    Program
        Everything a `photonpu.Session` or `photonpu.estimate` needs.

    Raises
    ------
    ModelError
        The model cannot be read or is malformed.
    UnsupportedModelError
        Neither the mesh nor the digital unit can run it.
    InputError
        The calibration data do not fit, the model takes more memory than the limit, a name of
        `keep_digital` or `only` matches no node, or an option has no such value.
    """
    machine = Machine.of(machine)
    rule = Rule.of(calibration_method, calibration_per)
    ceiling.least(memory_limit_mb)
    for_chip = _for_chip(chip, machine, programming, rounding, assignment)
    choice = Choice.of(keep_digital, only, activation_products)
    limits = reader.limits_of(model, limits)
    proto = reader.read(model, limits=limits)
    name = name or name_of(model, proto)
    parameters = sum(math.prod(tensor.dims) for tensor in proto.graph.initializer)
    fixed = {**shapes_of(calibration, proto), **(shapes or {})}
    digest, graph = both(partial(weights.digest, proto), partial(simplified, proto, fixed, limits))
    kept = choice.kept(graph, proto)
    del proto  # its weights: the graph has its own
    samples = calibrate.feeds(graph.inputs, calibration)
    held_bytes = ceiling.held_bytes(memory_limit_mb)
    seen = placement.see(graph, samples, machine, choice, kept, rule, held_bytes)
    ceiling.check(memory_limit_mb, seen.graph, seen.layers, machine)
    graph, layers, observed = seen.graph, seen.layers, seen.observed
    on_mesh: dict[str, PhotonicStep | ReprogrammedStep] = {
        **steps.photonic(layers, seen.ranges, observed, machine, rule),
        **{
            pair.node.name: activations.step(
                pair.node,
                pair.product,
                seen.factor_ranges[pair.node.name],
                observed.shapes,
                machine,
                rule,
            )
            for pair in seen.products
        },
    }
    in_order = steps.in_order(graph, on_mesh, observed)
    notes = _notes(calibration is None, seen.held_batch, on_mesh, rule)
    inputs, outputs = graph.inputs, tuple(_known(info, observed) for info in graph.outputs)
    ranges, banking = seen.ranges, seen.banking
    del graph, seen  # the weights: tiles and digital steps have their own
    tiles, made, bought = for_chip(
        _bank(layers, banking, ranges, machine, rule),
        [
            span
            for step in on_mesh.values()
            if isinstance(step, PhotonicStep)
            for span in step.tiles
        ],
    )
    return Program(
        name=name,
        machine=machine,
        inputs=inputs,
        outputs=outputs,
        steps=in_order,
        tiles=tiles,
        model_sha256=digest,
        parameters=parameters,
        notes=(*notes, *bought),
        programming=made,
    )


def _for_chip(
    chip: Chip | int | str | Path | None,
    machine: Machine,
    method: str,
    rounding: str,
    assignment: str,
) -> Callable[
    [TileBank, Iterable[tuple[int, int]]],
    tuple[TileBank, Programming | None, tuple[str, ...]],
]:
    """Check how a chip is to be programmed; return what programs tiles and their streams."""
    programs.check(method, rounding)
    assignments.check(assignment)
    if chip is None:
        if (method, rounding, assignment) != ("local", "nearest", "round-robin"):
            raise InputError(
                f"programming='{method}', rounding='{rounding}', assignment='{assignment}': these "
                "are for one chip; say chip=, a file or a seed"
            )
        return lambda tiles, _: (tiles, None, ())
    measured_chip = programs.chip_of(chip, machine)
    return lambda tiles, streams: assignments.for_chip(
        tiles,
        streams,
        measured_chip,
        machine,
        method=method,
        rounding=rounding,
        assignment=assignment,
    )


def simplified(
    proto: onnx.ModelProto, shapes: Mapping[str, Sequence[int]], limits: Limits = DEFAULT
) -> Graph:
    """Fold what is constant, run every pass, and make sure that only the batch is free.

    Raises
    ------
    UnsupportedModelError
        An axis other than the first is free, or an input has no shape at all, and `shapes` does
        not say it.
    """
    simple = simplifier.simplify(proto, shapes, limits=limits)
    for value in simple.model.graph.input:
        if axes.declared(value) is None and value.type.HasField("tensor_type"):
            raise UnsupportedModelError(
                f"input '{value.name}' has no shape: say it with "
                f"shapes={{'{value.name}': (...)}} or --shape {value.name}=..."
            )
    graph = from_model(*simple)
    for info in graph.inputs:
        if any(isinstance(size, str) for size in info.shape[1:]):
            sizes = tuple(_example(size, axis) for axis, size in enumerate(info.shape))
            raise UnsupportedModelError(
                f"input '{info.name}' has free axes {info.shape}: fix them with sizes of yours, as "
                f"in --shape {info.name}={'x'.join(map(str, sizes))} or "
                f"shapes={{'{info.name}': {sizes}}}"
            )
    if not graph.nodes:
        raise UnsupportedModelError(
            f"model '{graph.name}' has no operator: nothing to compile; export one that computes"
        )
    return passes.run(graph)


def _example(size: int | str, axis: int) -> int:
    """Return a size that an axis may have: its own, or one for the batch and 128 for others."""
    return size if isinstance(size, int) else 128 if axis else 1


def shapes_of(
    calibration: Array | Mapping[str, Array] | None, proto: onnx.ModelProto
) -> dict[str, tuple[int, ...]]:
    """Return the shapes that calibration data give to inputs with free axes."""
    if calibration is None:
        return {}
    free = [
        value.name
        for value in proto.graph.input
        if any(isinstance(axis, str) for axis in (axes.declared(value) or ("", "?"))[1:])
    ]
    if not isinstance(calibration, Mapping):
        return {name: np.shape(calibration) for name in free}
    return {name: np.shape(calibration[name]) for name in free if name in calibration}


def _bank(
    layers: list[Layer],
    banking: Banking,
    ranges: Mapping[str, Ranges],
    machine: Machine,
    rule: Rule,
) -> TileBank:
    """Finish the phases of the tiles of all layers, and set the ranges of their ADCs."""
    phases = banking.bank()
    adc_range, first = [], 0
    for layer in layers:
        found = ranges[layer.node.name]
        rows = [place.rows for part in layer.tiles for place in part.places]
        span = slice(first, first + len(rows))
        unit = phases.scale[span] * input_range_of(found.inputs, rule, machine)
        widest = phases.adc_range[span]
        adc_range.append(adc_ranges(widest, found.sums, unit, rows, rule, machine))
        first = span.stop
    if not adc_range:
        return phases
    return replace(phases, adc_range=np.concatenate(adc_range))


def _notes(
    uncalibrated: bool, held_batch: str, on_mesh: Collection[str], rule: Rule
) -> tuple[str, ...]:
    """Say what a user would want to know; warn where no data set ranges, or the batch is fixed."""
    notes = []
    if held_batch:
        warnings.warn(held_batch, PhotonpuWarning, stacklevel=3)
        notes.append(held_batch)
    if uncalibrated:
        note = (
            "converter ranges come from one sample of standard normal numbers: "
            "give calibration= samples of real data"
        )
        warnings.warn(note, PhotonpuWarning, stacklevel=3)
        notes.append(note)
    if rule != Rule():
        notes.append(f"converter ranges were set by {rule}")
    if not on_mesh:
        notes.append("no operator of this model runs on the mesh")
    return tuple(notes)


def _known(info: TensorInfo, observed: Observed) -> TensorInfo:
    """Fill in the axes of an output that the model leaves open; the batch stays free."""
    shape = observed.shapes.get(info.name)
    if shape is None:
        raise ModelError(
            f"output '{info.name}': onnxruntime gives no tensor for it; take it off the outputs"
        )
    if len(info.shape) != len(shape):
        return replace(info, shape=shape)
    sizes = zip(info.shape[1:], shape[1:], strict=True)
    rest = tuple(seen if isinstance(said, str) else said for said, seen in sizes)
    return replace(info, shape=(*info.shape[:1], *rest))


def name_of(model: str | Path | bytes | onnx.ModelProto | Checked, proto: onnx.ModelProto) -> str:
    """Return what to call the program when nobody said."""
    if isinstance(model, str | Path):
        return Path(model).stem
    if isinstance(model, Checked):
        return model.name
    return proto.graph.name or "model"
