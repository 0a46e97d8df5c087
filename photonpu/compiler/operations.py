"""What digital operators cost, as elementary operations.

One addition, multiplication, comparison or table look-up is one operation, a multiply-accumulate
two. The counts are assumptions of this project: an operator is charged for its textbook
formula, a transcendental function four operations (a cubic polynomial a segment), moving data
none, since memory traffic is charged by elements read and written. An operator that is in no row
is charged one operation an output element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from photonpu.compiler import formulas
from photonpu.compiler.graph import Array, Node
from photonpu.program.values import HostOperator


@dataclass(frozen=True, slots=True)
class Sizes:
    """One node with the shapes around it; ``()`` stands for what is absent or unknown.

    Attributes
    ----------
    node
        The operator.
    inputs, outputs
        Shapes in the operator's order.
    """

    node: Node
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]

    @property
    def elements_in(self) -> int:
        """Elements of the first input."""
        return math.prod(self.inputs[0]) if self.inputs else 0

    @property
    def elements_out(self) -> int:
        """Elements of the first output."""
        return math.prod(self.outputs[0])


Count = Callable[[Sizes], int]


_EACH = {
    0: "No operation: it moves data, which is charged as memory traffic.",
    1: "One operation for every output element.",
}


def _each(operations: int) -> Count:
    """Charge every output element alike."""

    def count(sizes: Sizes) -> int:
        return operations * sizes.elements_out

    count.__doc__ = _EACH.get(operations, f"{operations} operations for every output element.")
    return count


def _read(operations: int) -> Count:
    """Charge every element of the first input alike."""

    def count(sizes: Sizes) -> int:
        return operations * sizes.elements_in

    count.__doc__ = f"{operations} operations for every element that goes in."
    return count


def _reduced(sizes: Sizes) -> int:
    """One operation for every element that goes in."""
    return sizes.elements_in


def _pool(sizes: Sizes) -> int:
    """One operation for every tap of every window."""
    kernel: list[int] = sizes.node.values().get("kernel_shape", [])
    return math.prod(kernel) * sizes.elements_out


def _matmul(sizes: Sizes) -> int:
    """Two operations a multiply-accumulate; Gemm may have its first factor transposed."""
    first = sizes.inputs[0] or (1,)
    inner = first[-2] if sizes.node.values().get("transA", 0) else first[-1]
    return 2 * inner * sizes.elements_out


def _conv(sizes: Sizes) -> int:
    """Two operations for every tap and channel that an output sees."""
    return 2 * math.prod(sizes.inputs[1][1:]) * sizes.elements_out


def _conv_transpose(sizes: Sizes) -> int:
    """Two operations for every tap and channel that an input spreads to."""
    return 2 * math.prod(sizes.inputs[1][1:]) * sizes.elements_in


def _recurrent(sizes: Sizes) -> int:
    """Two operations for every weight, sample and time step."""
    steps = math.prod(sizes.inputs[0][:2])
    return 2 * steps * (math.prod(sizes.inputs[1]) + math.prod(sizes.inputs[2]))


def _factors(count: Count, *places: int) -> Count:
    """Count like `count` an operator whose factors are the inputs at `places`."""

    def moved(sizes: Sizes) -> int:
        inputs = tuple(sizes.inputs[place] for place in places)
        return count(Sizes(sizes.node, inputs, sizes.outputs))

    moved.__doc__ = count.__doc__
    return moved


_FREE = """Concat Constant ConstantOfShape DepthToSpace Expand Flatten Gather GatherElements
GatherND Identity Pad Reshape Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth Split
Squeeze Tile Transpose Unsqueeze Dropout EyeLike Range"""
_FOUR = """Acos Acosh Asin Asinh Atan Atanh Cos Cosh Erf Exp Log Pow Sigmoid Sin Sinh Softplus
Softsign Sqrt Tan Tanh Elu Celu Selu Mish"""
_REDUCTIONS = """ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum GlobalAveragePool GlobalMaxPool
ArgMax ArgMin CumSum CumProd GlobalLpPool ReduceLogSum"""


def _blockwise(sizes: Sizes) -> int:
    """Two operations a multiply-accumulate with a matrix of `K` rows, packed into few bits."""
    inner: int = sizes.node.values().get("K", 1)
    return 2 * inner * sizes.elements_out


def _attention(sizes: Sizes) -> int:
    """Two operations a multiply-accumulate of projections, scores and values, five a Softmax's."""
    *batch, length, width = sizes.inputs[0] or (1, 1)
    rows, hidden = math.prod(batch), sizes.inputs[1][-1] // 3
    heads: int = sizes.node.values().get("num_heads", 1)
    scores = rows * length * length
    return rows * length * 2 * width * 3 * hidden + 4 * scores * hidden + 5 * scores * heads


#: What an operator is charged that is in no row.
OTHERS = _each(1)
_MICROSOFT = "com.microsoft."
#: Quantised product -> the places of its two factors among its inputs.
FACTORS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "ConvInteger": (0, 1),
        "MatMulInteger": (0, 1),
        "QLinearConv": (0, 3),
        "QLinearMatMul": (0, 3),
        f"{_MICROSOFT}DynamicQuantizeMatMul": (0, 1),
        f"{_MICROSOFT}MatMulIntegerToFloat": (0, 1),
        f"{_MICROSOFT}QGemm": (0, 3),
        f"{_MICROSOFT}QLinearConv": (0, 3),
    }
)
#: Operators whose operations are multiply-accumulates, two operations each.
PRODUCTS = (
    *("Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul", "LSTM", "GRU", "RNN"),
    *("Attention", "CausalConvWithState", "DeformConv", "LinearAttention"),
    *FACTORS,
    *(f"{_MICROSOFT}{op}" for op in ("DynamicQuantizeLSTM", "MatMulNBits", "QAttention")),
    *(f"{_MICROSOFT}{op}" for op in ("Attention", "MultiHeadAttention", "GroupQueryAttention")),
    *(f"{_MICROSOFT}{op}" for op in ("FusedConv", "FusedGemm", "FusedMatMul")),
)
#: Operators of onnxruntime on integers, and what they cost: one with a single input of 8 bits is
#: a table look-up; others dequantise each input (2), compute, and quantise (5).
_INTEGERS: Mapping[str, Count] = MappingProxyType(
    {
        **dict.fromkeys(("QLinearSigmoid", "QLinearLeakyRelu"), _each(1)),
        **dict.fromkeys(("QLinearConcat", "QLinearWhere"), _each(7)),
        **dict.fromkeys(("QLinearAdd", "QLinearMul"), _each(10)),
        **dict.fromkeys(("QLinearGlobalAveragePool", "QLinearReduceMean"), _reduced),
        "QLinearAveragePool": _pool,
        "QLinearSoftmax": _each(12),
        "DynamicQuantizeLSTM": _recurrent,
        "MatMulNBits": _blockwise,
        "QAttention": _attention,
    }
)
#: What else onnxruntime fuses, and what it costs: the sum of what was fused.
_FUSED: Mapping[str, Count] = MappingProxyType(
    {
        **dict.fromkeys(("FastGelu", "Gelu", "QuickGelu"), _each(7)),
        "Attention": _attention,
        "BiasGelu": _each(8),
        "FusedConv": _conv,
        "GroupQueryAttention": formulas.multi_head,
        "MultiHeadAttention": formulas.multi_head,
        "RotaryEmbedding": _each(3),
        "SkipLayerNormalization": _each(9),
        "SkipSimplifiedLayerNormalization": _each(6),
        **dict.fromkeys(("FusedGemm", "FusedMatMul"), _matmul),
    }
)
#: Operator -> its count; see the module's text. The text of a count is its row in the manual.
OPERATIONS: Mapping[str, Count] = MappingProxyType(
    {
        **dict.fromkeys(_FREE.split(), _each(0)),
        **dict.fromkeys(_FOUR.split(), _each(4)),
        **dict.fromkeys(_REDUCTIONS.split(), _reduced),
        **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pool),
        **dict.fromkeys(("Softmax", "LogSoftmax"), _each(5)),
        **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
        **dict.fromkeys(("MatMul", "Gemm"), _matmul),
        **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare"), _read(2)),
        **dict.fromkeys(("TopK", "Unique"), formulas.sort),
        **dict.fromkeys(("DFT", "STFT"), formulas.fourier),
        **dict.fromkeys(("RMSNormalization", "LpNormalization"), _each(5)),
        "ReduceLogSumExp": _read(5),
        "Attention": formulas.attention,
        "DeformConv": formulas.deformed,
        "Det": formulas.determinant,
        "GridSample": _each(18),
        "CausalConvWithState": _conv,
        "LinearAttention": formulas.linear_attention,
        "LRN": formulas.local_response,
        "MaxRoiPool": _reduced,
        "NonMaxSuppression": formulas.suppression,
        "SwiGLU": _each(6),
        "RoiAlign": _each(32),
        "MeanVarianceNormalization": _each(6),
        "RotaryEmbedding": _each(3),
        "Swish": _each(5),
        "BatchNormalization": _each(2),
        "LayerNormalization": _each(8),
        "InstanceNormalization": _each(8),
        "GroupNormalization": _each(8),
        "HardSigmoid": _each(3),
        "HardSwish": _each(4),
        "Gelu": _each(7),
        "Clip": _each(2),
        "PRelu": _each(2),
        "LeakyRelu": _each(2),
        "Resize": _each(8),
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "Einsum": formulas.einsum,
        "DequantizeLinear": _each(2),
        "QuantizeLinear": _each(5),
        "DynamicQuantizeLinear": _each(7),
        **{
            op: _factors(_conv if op.endswith(("Conv", "ConvInteger")) else _matmul, *places)
            for op, places in FACTORS.items()
        },
        **{f"{_MICROSOFT}{op}": count for op, count in {**_INTEGERS, **_FUSED}.items()},
    }
)


def operators(
    nodes: Iterable[Node],
    shapes: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Array] = MappingProxyType({}),
    samples: int = 1,
) -> tuple[HostOperator, ...]:
    """Count what digital nodes do for one sample.

    Parameters
    ----------
    nodes
        The nodes, none of which is left out.
    shapes
        Measured shapes by tensor name.
    constants
        The graph's constants; weights of products that stayed digital are among them.
    samples
        Samples in the batch that the shapes were measured on.

    Returns
    -------
    tuple of HostOperator
        In the order of the nodes.
    """

    def shape(name: str) -> tuple[int, ...]:
        return constants[name].shape if name in constants else shapes.get(name, ())

    counted = []
    for node in nodes:
        sizes = Sizes(node, tuple(map(shape, node.inputs)), tuple(map(shape, node.outputs)))
        operations = OPERATIONS.get(node.operator, OTHERS)(sizes) // samples
        counted.append(
            HostOperator(
                name=node.name,
                op=node.operator,
                operations=operations,
                macs=operations // 2 if node.operator in PRODUCTS else 0,
                elements_in=sum(math.prod(shape(n)) for n in node.reads) // samples,
                elements_out=sum(math.prod(shape(n)) for n in node.writes) // samples,
            )
        )
    return tuple(counted)
