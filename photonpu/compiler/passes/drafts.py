"""What takes the place of a quantised product, as it is written: its matrix and its converters."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from photonpu.compiler.graph import Array, Shape
from photonpu.compiler.lowerings.products import StaysDigital
from photonpu.compiler.passes import integers
from photonpu.compiler.passes.replacement import Replacement, opset

#: The oldest operator sets that have DequantizeLinear, have it for one scale a channel, and Round.
CONVERTERS, CHANNELS, ROUNDING = 10, 13, 11
#: Element types of scales and zero points that the converters take as they are.
_PARAMETERS = ("float32", "int8", "uint8")


class Quantised(NamedTuple):
    """A tensor of integers, and the names of its scale and zero point; ``""`` is 1 and 0."""

    tensor: str
    scale: str
    zero_point: str


class Draft(Replacement):
    """A quantised product's successors while they are written; see `Replacement`."""

    __slots__ = ()

    def needs(self, version: int) -> None:
        """Make sure of the version of ONNX's own operators.

        Raises
        ------
        StaysDigital
            It is older.
        """
        found = opset(self.graph)
        if found < version:
            raise StaysDigital(f"operator set {found} is older than {version}")

    def value(self, role: str, name: str) -> Array:
        """Return the numbers of a constant; `role` is what it is to the node.

        Raises
        ------
        StaysDigital
            They are computed at run time.
        """
        if name not in self.graph.constants:
            raise StaysDigital(f"its {role} '{name}' is computed at run time")
        return self.graph.constants[name]

    def hold(self, label: str, value: Array) -> str:
        """Add a constant, in float32, and return its name."""
        with np.errstate(over="ignore"):  # the lowering refuses infinity, and says where it is
            return self.constant(label, value.astype(np.float32))

    def product(self, op: str, *inputs: str) -> str:
        """Add the product itself, under the node's name and with its attributes."""
        attributes = self.node.values()
        moved = attributes.pop("channels_last", 0)
        shape = None if moved else self.graph.shapes.get(self.node.outputs[0])
        return self.apply(op, inputs, shape, **attributes)

    def turn(self, tensor: str, order: list[int]) -> str:
        """Add Transpose, before and behind a product whose channels lie last."""
        shape = self._like(tensor)
        turned = None if shape is None else tuple(shape[axis] for axis in order)
        label = f"transpose/{len(self.nodes)}"
        return self.apply("Transpose", [tensor], turned, label=label, perm=order)

    def add(self, bias: str, product: str) -> str:
        """Add a bias behind a product."""
        return self.apply("Add", [product, bias], self._like(product), label="bias")

    def quantised_at_run_time(self, tensor: str) -> Quantised:
        """Add DynamicQuantizeLinear."""
        self.needs(ROUNDING)
        shape = self.graph.shapes.get(tensor)
        quantised = self.apply("DynamicQuantizeLinear", [tensor], shape, label="quantise")
        outputs = (quantised, self._fresh("scale"), self._fresh("zero_point"))
        self.shapes.update(dict.fromkeys(outputs[1:], ()))
        self.nodes[-1] = replace(self.nodes[-1], outputs=outputs)
        return Quantised(*outputs)

    def _like(self, tensor: str) -> Shape | None:
        return self.shapes.get(tensor, self.graph.shapes.get(tensor))

    def real(self, role: str, held: Quantised, axis: int = 0) -> Array:
        """Return what a constant stands for.

        Parameters
        ----------
        role
            What it is to the node: ``"weight"``.
        held
            The constant; all of it must be known beforehand.
        axis
            Along which a scale and a zero point of one axis lie.

        Raises
        ------
        StaysDigital
            Something is computed at run time.
        """
        return integers.real(
            self.value(role, held.tensor),
            self.value("scale", held.scale) if held.scale else None,
            self.value("zero point", held.zero_point) if held.zero_point else None,
            axis=axis,
        )

    def bias(self, name: str, *scales: str) -> Array:
        """Return what a bias stands for: its scale is the product of the scales of both factors."""
        value = self.value("bias", name).astype(np.float64)
        for scale in scales:
            value = value * self.value("scale", scale).reshape(-1).astype(np.float64)
        return value

    def dequantise(self, data: Quantised, axis: int = 1) -> str:
        """Add DequantizeLinear; `axis` is where one scale a channel lies."""
        parameters, attributes = self._parameters(data, axis)
        inputs = [data.tensor, *parameters]
        shape = self._like(data.tensor)
        return self.apply("DequantizeLinear", inputs, shape, label="dequantise", **attributes)

    def quantise(self, tensor: str, scale: str, zero_point: str, axis: int = 1) -> str:
        """Add QuantizeLinear: round half to even, then saturate."""
        parameters, attributes = self._parameters(Quantised(tensor, scale, zero_point), axis)
        inputs = [tensor, *parameters]
        shape = self._like(tensor)
        return self.apply("QuantizeLinear", inputs, shape, label="requantise", **attributes)

    def round(self, tensor: str) -> str:
        """Add what makes int32 of numbers that are whole but for rounding errors."""
        from onnx import TensorProto

        shape = self._like(tensor)
        if opset(self.graph) < ROUNDING:
            half = self.hold("half", np.array(0.5))
            above = self.apply("Add", [tensor, half], shape, label="half")
            whole = self.apply("Floor", [above], shape, label="round")
        else:
            whole = self.apply("Round", [tensor], shape, label="round")
        return self.apply("Cast", [whole], shape, label="cast", to=TensorProto.INT32)

    def _parameters(self, data: Quantised, axis: int) -> tuple[list[str], dict[str, int]]:
        """Return names of scale and zero point in one form, and where one a channel lies."""
        known = {"scale": data.scale, "zero point": data.zero_point}
        length = max(self._length(role, name) for role, name in known.items())
        if length > 1:
            self.needs(CHANNELS)
        shape = (length,) if length > 1 else ()
        if data.scale:
            parameters = [self._spread("scale", data.scale, shape)]
        else:
            parameters = [self.hold("one", np.ones(shape))]
        if data.zero_point:
            parameters.append(self._spread("zero point", data.zero_point, shape))
        return parameters, {"axis": axis} if length > 1 else {}

    def _length(self, role: str, name: str) -> int:
        """Return how many numbers a scale or zero point has, which lie along one axis."""
        if not name:
            return 1
        held = self.graph.constants.get(name)
        shape = self._like(name) if held is None else held.shape
        sizes = [size for size in shape or () if isinstance(size, int)]
        if shape is None or len(sizes) < len(shape):
            raise StaysDigital(f"the shape of its {role} '{name}' is unknown")
        if len(sizes) > 1 and math.prod(sizes) > 1:
            raise StaysDigital(f"its {role} '{name}' has {len(sizes)} axes")
        return math.prod(sizes)

    def _spread(self, label: str, name: str, shape: tuple[int, ...]) -> str:
        """Return the name of a scale, as float32, or zero point of `shape`."""
        value = self.graph.constants.get(name)
        if value is None and shape:  # one number for now, beside numbers for each channel
            raise StaysDigital(f"its {label} '{name}' is computed at run time")
        if value is None or (value.shape == shape and value.dtype.name in _PARAMETERS):
            return name
        numbers = np.resize(value, shape)
        return self.hold(label, numbers) if label == "scale" else self.constant(label, numbers)
