"""Products of integers become products of real numbers between digital converters.

With the zero points taken off both factors, which is DequantizeLinear's work, a quantised product
is like any other; scales of a constant factor go into the matrix. Padding is with the zero point
and therefore with 0 after that, which is what the mesh pads with. Rounding and saturation are left
to QuantizeLinear behind the product, in the digital segment there.
"""

from __future__ import annotations

from collections.abc import Callable

from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.lowerings.products import StaysDigital
from photonpu.compiler.passes.drafts import CONVERTERS, Draft, Quantised
from photonpu.compiler.passes.replacement import rewrite
from photonpu.errors import ModelError
from photonpu.registry import Registry

#: Takes a draft and the names of the node's inputs, in the specification's order; writes.
Rewrite = Callable[..., None]
#: Operator, with its domain if that is not ONNX's own -> what writes its replacement.
REWRITES: Registry[Rewrite] = Registry("rewrite")


def dequantise(graph: Graph) -> Graph:
    """Put products of real numbers in the place of quantised products with a constant factor.

    Both compute the same but for the rounding of float32. A product whose factors are both
    computed at run time, which the mesh can't take, stays as it is.
    """
    return rewrite(graph, _draft)


def _draft(graph: Graph, node: Node) -> Draft | None:
    found = drafted(node, graph) if node.operator in REWRITES else None
    return found if isinstance(found, Draft) else None


def drafted(node: Node, graph: Graph) -> Draft | str:
    """Return what takes the place of a node of `REWRITES`, or in a few words why nothing can.

    Raises
    ------
    ModelError
        The shapes of its constants contradict each other.
    """
    draft = Draft(graph, node)
    try:
        draft.needs(CONVERTERS)
        REWRITES[node.operator](draft, *node.inputs)
    except StaysDigital as why:
        return str(why)
    except ValueError as error:
        raise ModelError(
            f"node '{node.name}' ({node.op}): the shapes of its constants do not fit together "
            f"({error}); export the model again"
        ) from error
    return draft


def why_digital(node: Node, graph: Graph) -> str:
    """Return why a node of `REWRITES` is left as it is, in a few words."""
    draft = drafted(node, graph)
    return draft if isinstance(draft, str) else "its passes have not run"


@REWRITES.register("QLinearConv")
@REWRITES.register("com.microsoft.QLinearConv")
def qlinear_conv(
    draft: Draft,
    x: str,
    x_scale: str,
    x_zero_point: str,
    w: str,
    w_scale: str,
    w_zero_point: str,
    y_scale: str,
    y_zero_point: str,
    b: str = "",
) -> None:
    """Conv between DequantizeLinear and QuantizeLinear; scales go into weight and bias."""
    weight = draft.real("weight", Quantised(w, w_scale, w_zero_point))
    held = [draft.hold("weight", weight)]
    if b:
        held.append(draft.hold("bias", draft.bias(b, x_scale, w_scale)))
    data = draft.dequantise(Quantised(x, x_scale, x_zero_point))
    if draft.node.values().get("channels_last", 0):
        last = weight.ndim - 1
        data = draft.turn(data, [0, last, *range(1, last)])
        product = draft.turn(draft.product("Conv", data, *held), [0, *range(2, last + 1), 1])
    else:
        product = draft.product("Conv", data, *held)
    draft.quantise(product, y_scale, y_zero_point)


@REWRITES.register("ConvInteger")
def conv_integer(
    draft: Draft, x: str, w: str, x_zero_point: str = "", w_zero_point: str = ""
) -> None:
    """Conv of both factors less their zero points; what comes out is rounded to int32."""
    weight = draft.hold("weight", draft.real("weight", Quantised(w, "", w_zero_point)))
    data = draft.dequantise(Quantised(x, "", x_zero_point))
    draft.round(draft.product("Conv", data, weight))


@REWRITES.register("QLinearMatMul")
def qlinear_matmul(
    draft: Draft,
    a: str,
    a_scale: str,
    a_zero_point: str,
    b: str,
    b_scale: str,
    b_zero_point: str,
    y_scale: str,
    y_zero_point: str,
) -> None:
    """MatMul between DequantizeLinear and QuantizeLinear; one scale goes into the matrix."""
    factors = Quantised(a, a_scale, a_zero_point), Quantised(b, b_scale, b_zero_point)
    product = draft.product("MatMul", *_factors(draft, *factors))
    draft.quantise(product, y_scale, y_zero_point, axis=-2)


@REWRITES.register("MatMulInteger")
def matmul_integer(
    draft: Draft, a: str, b: str, a_zero_point: str = "", b_zero_point: str = ""
) -> None:
    """MatMul of both factors less their zero points; what comes out is rounded to int32."""
    factors = Quantised(a, "", a_zero_point), Quantised(b, "", b_zero_point)
    draft.round(draft.product("MatMul", *_factors(draft, *factors)))


@REWRITES.register("com.microsoft.QGemm")
def qgemm(
    draft: Draft,
    a: str,
    a_scale: str,
    a_zero_point: str,
    b: str,
    b_scale: str,
    b_zero_point: str,
    c: str = "",
    y_scale: str = "",
    y_zero_point: str = "",
) -> None:
    """Gemm between DequantizeLinear and QuantizeLinear; scales go into weight and bias."""
    values = draft.node.values()
    factors = Quantised(a, a_scale, a_zero_point), Quantised(b, b_scale, b_zero_point)
    rows, columns = 1 if values.get("transA", 0) else 0, 0 if values.get("transB", 0) else 1
    inputs = list(_factors(draft, *factors, rows, columns))
    if c:
        bias = values.get("alpha", 1.0) * draft.bias(c, a_scale, b_scale)
        inputs.append(draft.hold("bias", bias))
    product = draft.product("Gemm", *inputs)
    if y_scale:
        draft.quantise(product, y_scale, y_zero_point)


@REWRITES.register("com.microsoft.MatMulIntegerToFloat")
def matmul_integer_to_float(
    draft: Draft,
    a: str,
    b: str,
    a_scale: str,
    b_scale: str,
    a_zero_point: str = "",
    b_zero_point: str = "",
    bias: str = "",
) -> None:
    """MatMul behind DequantizeLinear, before Add; one scale goes into the matrix."""
    factors = Quantised(a, a_scale, a_zero_point), Quantised(b, b_scale, b_zero_point)
    product = draft.product("MatMul", *_factors(draft, *factors))
    if bias:
        draft.add(bias, product)


@REWRITES.register("com.microsoft.DynamicQuantizeMatMul")
def dynamic_quantize_matmul(
    draft: Draft, a: str, b: str, b_scale: str, b_zero_point: str = "", bias: str = ""
) -> None:
    """DynamicQuantizeLinear, then as MatMulIntegerToFloat."""
    data = draft.quantised_at_run_time(a)
    weight = draft.hold("weight", draft.real("weight", Quantised(b, b_scale, b_zero_point), -1))
    product = draft.product("MatMul", draft.dequantise(data), weight)
    if bias:
        draft.add(bias, product)


def _factors(
    draft: Draft, a: Quantised, b: Quantised, rows: int = -2, columns: int = -1
) -> tuple[str, str]:
    """Return both factors as real numbers, one of them a constant.

    Parameters
    ----------
    draft
        What is written.
    a, b
        The factors.
    rows, columns
        Axis of `a` along which the rows of the product lie, and of `b` its columns.

    Raises
    ------
    StaysDigital
        Both are computed at run time, or what belongs to the constant is.
    """
    if b.tensor in draft.graph.constants:
        weight = draft.hold("weight", draft.real("weight", b, columns))
        return draft.dequantise(a, rows), weight
    if a.tensor in draft.graph.constants:
        weight = draft.hold("weight", draft.real("weight", a, rows))
        return weight, draft.dequantise(b, columns)
    raise StaysDigital(f"its factors '{a.tensor}' and '{b.tensor}' are both computed at run time")
