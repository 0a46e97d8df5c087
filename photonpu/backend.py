"""ONNX's backend interface: any model on ideal meshes, matrices that arrive as inputs included.

`prepare` takes a model and gives what runs it; `run_model` and `run_node` do both at once. The
meshes, though ideal, are real ones: every matrix is cut into tiles, each tile becomes phases, and
the outputs are computed from these. A matrix that is an input of the model becomes a constant of a
program of its own when its numbers arrive.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, shape_inference
from onnx.backend.base import Backend, BackendRep

from photonpu.compiler import compile, reader
from photonpu.compiler.specialise import Feeds, matrices_among, products, specialise
from photonpu.compiler.versions import clamp, newest_versions
from photonpu.errors import InputError
from photonpu.hardware import Machine
from photonpu.program import HostStep
from photonpu.simulator import Session
from photonpu.simulator.host import HostRunner

__all__ = [
    "PhotonicBackend",
    "PreparedModel",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]

Runner = Callable[[Feeds], list[Any]]

PROGRAMS = 4  # that a prepared model keeps, one for each set of matrices and shapes


class PreparedModel(BackendRep):
    """A model that is ready to run on ideal hardware.

    Parameters
    ----------
    model
        The model; left as it is.
    machine
        The machine, or the name of a preset. Errors, losses and converters are switched off, so
        that of the machine only the size and the topology of its meshes count.

    Raises
    ------
    InputError
        No operator of the model can go to the mesh, and onnxruntime refuses it.

    Notes
    -----
    The compilation waits for the first inputs, for these give the shapes. The last few programs
    are kept, by the numbers of the matrices that came as inputs and by the shapes of all others.
    Inputs that hold infinity, as masks may, run digitally with the whole model.
    """

    def __init__(self, model: onnx.ModelProto, machine: Machine | str = "ideal") -> None:
        self._model = clamp(model)
        reader.drop_blanks(self._model)
        self._machine = Machine.of(machine)
        constants = {tensor.name for tensor in model.graph.initializer}
        self._inputs = [v.name for v in model.graph.input if v.name not in constants]
        self._outputs = [value.name for value in model.graph.output]
        self._programs: OrderedDict[str, tuple[int, Runner]] = OrderedDict()
        self._digital = None if any(products(model)) else self._load_digital()

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run the model.

        Parameters
        ----------
        inputs
            The inputs in the model's order, or by name; an array alone for a model of one input.
        **kwargs
            Options of other backends, passed over.

        Returns
        -------
        tuple
            The outputs in the model's order.

        Raises
        ------
        InputError
            The number of inputs, a name, a shape or a type is wrong.
        PhotonpuError
            The model cannot be compiled.
        """
        feeds = self._feeds(inputs)
        return tuple(self._digital(feeds) if self._digital else self._program(feeds)[1](feeds))

    def photonic_steps(self, inputs: Any) -> int:
        """Return how many products run on the mesh for such inputs, which are as in `run`."""
        return 0 if self._digital else self._program(self._feeds(inputs))[0]

    def _feeds(self, inputs: Any) -> dict[str, Any]:
        """Give each input its name."""
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        if not isinstance(inputs, Mapping):
            _check_number(f"model '{self._model.graph.name}'", self._inputs, inputs)
            inputs = dict(zip(self._inputs, inputs, strict=True))
        missing = [name for name in self._inputs if name not in inputs]
        if missing:
            raise InputError(f"inputs {', '.join(missing)} are missing: feed an array for each")
        return {name: _array(value) for name, value in inputs.items()}

    def _program(self, feeds: Feeds) -> tuple[int, Runner]:
        """Return the program for matrices and shapes like these, and how much of it is photonic."""
        matrices = matrices_among(self._model.graph, feeds)
        carried = all(map(_is_finite, feeds.values()))
        key = _key(feeds, matrices) if carried else ""
        if key not in self._programs:
            compiled = self._compile(feeds, matrices) if carried else (0, self._load_digital())
            self._programs[key] = compiled
            while len(self._programs) > PROGRAMS:
                self._programs.popitem(last=False)
        self._programs.move_to_end(key)
        return self._programs[key]

    def _compile(self, feeds: Feeds, matrices: frozenset[str]) -> tuple[int, Runner]:
        """Compile the model for these matrices; one digital segment if none is for the mesh."""
        special = specialise(self._model, feeds, matrices)
        names = [value.name for value in special.graph.input if value.name in feeds]
        samples = {name: feeds[name] for name in names}
        program = compile(special, self._machine, calibration=samples)
        if not program.photonic_steps:
            return 0, self._load_digital()
        session = Session(program, noise="ideal")

        def run(feeds: Feeds) -> list[Any]:
            return session.run(self._outputs, {name: feeds[name] for name in names})

        return len(program.photonic_steps), run

    def _load_digital(self) -> Runner:
        """Load the whole model as one digital segment."""
        names = tuple(self._inputs), tuple(self._outputs)
        host = HostRunner(HostStep("model", self._model.SerializeToString(), *names, ()))

        def run(feeds: Feeds) -> list[Any]:
            values = host.run(feeds)
            return [values[name] for name in self._outputs]

        return run


def _check_number(
    what: str, names: Sequence[str], given: Sequence[Any], kind: str = "inputs"
) -> None:
    """Raise `InputError` unless there is an input (or an output's description) for each name."""
    if len(names) != len(given):
        raise InputError(
            f"{len(given)} {kind} were given and {what} has {len(names)}: {', '.join(names)}"
        )


def _array(value: Any) -> Any:
    """Return a number as an array; arrays, sequences and absent values as they are."""
    return np.asarray(value) if isinstance(value, int | float | np.generic) else value


def _is_finite(value: Any) -> bool:
    """Say whether light could carry a value: a mask may hold infinity."""
    fractions = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return bool(np.isfinite(value).all()) if fractions else True


def _key(feeds: Feeds, matrices: frozenset[str]) -> str:
    """Return a hash of the matrices' numbers and of the types and shapes of all inputs."""
    text = hashlib.sha256()
    for name, value in sorted(feeds.items()):
        if isinstance(value, np.ndarray):
            text.update(repr((name, value.dtype.str, value.shape)).encode())
            text.update(value.tobytes() if name in matrices else b"")
    return text.hexdigest()


class PhotonicBackend(Backend):
    """photonpu as ONNX's tools see it; its methods are also functions of this module."""

    @classmethod
    def prepare(
        cls,
        model: onnx.ModelProto,
        device: str = "CPU",
        machine: Machine | str = "ideal",
        **kwargs: Any,
    ) -> PreparedModel:
        """Make a model ready to run.

        Parameters
        ----------
        model
            The model, valid by onnx's checker.
        device
            ``"CPU"``.
        machine
            The machine, or the name of a preset; only its mesh counts.
        **kwargs
            Options of other backends, passed over.

        Returns
        -------
        PreparedModel
            To be `run` as often as one likes.

        Raises
        ------
        onnx.checker.ValidationError
            The model is malformed.
        InputError
            The device is not supported, or nothing can run the model.
        """
        if not cls.supports_device(device):
            raise InputError(f"device '{device}': photonpu runs on 'CPU'")
        super().prepare(model, device, **kwargs)
        return PreparedModel(model, machine)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one operator.

        Parameters
        ----------
        node
            The operator.
        inputs
            An array for each of its inputs that is present.
        device
            ``"CPU"``.
        outputs_info
            Element type and shape of each output; without it they are inferred.
        **kwargs
            ``opset_version``, the operator set, by default the newest; others go to `prepare`.

        Returns
        -------
        tuple
            The outputs.

        Raises
        ------
        InputError
            The number of inputs, a shape or a type is wrong.
        """
        super().run_node(node, inputs, device, outputs_info, **kwargs)
        opset = kwargs.pop("opset_version", newest_versions()[1])
        model = _model_of(node, inputs, outputs_info, opset)
        return cls.run_model(model, inputs, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Say whether models can run there: on ``"CPU"``, where the meshes are simulated."""
        return device == "CPU"


def _model_of(
    node: onnx.NodeProto,
    inputs: Sequence[Any],
    outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None,
    opset: int,
) -> onnx.ModelProto:
    """Return a model of one node."""
    names = list(dict.fromkeys(name for name in node.input if name))
    _check_number(f"node '{node.name}' ({node.op_type})", names, inputs)
    arrays = [np.asarray(value) for value in inputs]
    known = [
        helper.make_tensor_value_info(name, _element(array.dtype), array.shape)
        for name, array in zip(names, arrays, strict=True)
    ]
    given = [name for name in node.output if name]
    if outputs_info is None:
        results = [onnx.ValueInfoProto(name=name) for name in given]
    else:
        _check_number(f"node '{node.name}' ({node.op_type})", given, outputs_info, "outputs")
        results = [
            helper.make_tensor_value_info(name, _element(np.dtype(kind)), shape)
            for name, (kind, shape) in zip(given, outputs_info, strict=True)
        ]
    model = helper.make_model(
        helper.make_graph([node], node.op_type, known, results),
        opset_imports=[helper.make_opsetid(node.domain, opset)],
    )
    return shape_inference.infer_shapes(model)


def _element(kind: np.dtype[Any]) -> int:
    """Return ONNX's number of an element type."""
    text = kind.kind in "OUS"
    return int(onnx.TensorProto.STRING if text else helper.np_dtype_to_tensor_dtype(kind))


is_compatible = PhotonicBackend.is_compatible
prepare = PhotonicBackend.prepare
run_model = PhotonicBackend.run_model
run_node = PhotonicBackend.run_node
supports_device = PhotonicBackend.supports_device
