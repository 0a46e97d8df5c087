"""Contractions: Einsum and any MatMul with a constant become products that the mesh takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.testing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from photonpu.compiler import passes
from photonpu.compiler.graph import Graph, from_model
from photonpu.compiler.lowerings import lower
from photonpu.compiler.passes import PASSES
from tests.compiler.networks import execute, network, numbers, products, run

SIZES = {"a": 2, "b": 3, "c": 4, "d": 1, "e": 5, "f": 2}


def einsum(
    equation: str, x: Sequence[int], *weights: Sequence[int], first: bool = True
) -> onnx.ModelProto:
    constants = {f"w{i}": numbers(*shape, seed=i) for i, shape in enumerate(weights)}
    names = ["x", *constants] if first else [*constants, "x"]
    node = helper.make_node("Einsum", names, ["y"], name="it", equation=equation)
    rank = len(
        np.einsum(
            equation, *(np.ones(constants[n].shape if n in constants else x) for n in names)
        ).shape
    )
    return network([node], {"x": x}, {"y": rank}, constants)


def matmul(left: Sequence[int], right: Sequence[int], held: str) -> onnx.ModelProto:
    shapes = {"a": left, "b": right}
    (data,) = shapes.keys() - {held}
    node = helper.make_node("MatMul", ["a", "b"], ["y"], name="it")
    rank = np.matmul(np.ones(left), np.ones(right)).ndim
    return network([node], {data: shapes[data]}, {"y": rank}, {held: numbers(*shapes[held])})


def on_mesh(model: onnx.ModelProto) -> Graph:
    """Return the graph after all passes; it must hold one product, and that must be exact."""
    graph = passes.run(from_model(model))
    assert list(products(graph)) == ["it"]
    (value,) = model.graph.input
    x = numbers(*(axis.dim_value for axis in value.type.tensor_type.shape.dim), seed=9)
    (expected,) = run(model, {value.name: x})
    (found,) = execute(graph, {value.name: x})
    assert found.shape == expected.shape
    npt.assert_allclose(found, expected, atol=1e-5 * max(1.0, np.abs(expected).max()))
    return graph


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, tuple[int, ...], tuple[int, ...], bool]:
    """Draw an equation that sums over an axis of both, with the shapes of data and weight."""
    labels = list(SIZES)
    shared = draw(st.permutations(labels))
    data = draw(st.permutations(shared[: draw(st.integers(1, 4))]))
    weight = draw(
        st.permutations(sorted({shared[0], *draw(st.lists(st.sampled_from(labels), max_size=3))}))
    )
    kept = sorted({*data, *weight} - {shared[0]})
    output = draw(st.permutations(kept))[: draw(st.integers(0, len(kept)))]
    swapped = draw(st.booleans())
    terms = ["".join(weight), "".join(data)] if swapped else ["".join(data), "".join(weight)]
    shapes = [tuple(SIZES[label] for label in term) for term in (data, weight)]
    return f"{','.join(terms)}->{''.join(output)}", shapes[0], shapes[1], swapped


@given(equations())
def test_any_einsum_with_a_constant_is_a_product_on_the_mesh(
    drawn: tuple[str, tuple[int, ...], tuple[int, ...], bool],
) -> None:
    equation, x, weight, swapped = drawn
    on_mesh(einsum(equation, x, weight, first=not swapped))


@st.composite
def factors(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Draw the shapes of two factors of a MatMul, vectors and stacks of matrices among them."""
    inner, rows, columns = (draw(st.integers(1, 4)) for _ in range(3))
    batch = [draw(st.integers(1, 3)) for _ in range(3)]
    shapes = []
    for matrix in ([rows, inner], [inner, columns]):
        axes = draw(st.integers(0, 3))
        leading = [draw(st.sampled_from([1, size])) for size in batch[3 - axes :]]
        shapes.append(
            [inner] if draw(st.booleans()) and draw(st.booleans()) else [*leading, *matrix]
        )
    return shapes[0], shapes[1]


@pytest.mark.parametrize("held", ["a", "b"])
@given(shapes=factors())
def test_any_matmul_with_a_constant_is_a_product_on_the_mesh(
    held: str, shapes: tuple[list[int], list[int]]
) -> None:
    on_mesh(matmul(*shapes, held))


def test_an_ellipsis_stands_for_the_axes_that_have_no_letters() -> None:
    on_mesh(einsum("...ij,jk->...ki", (2, 3, 4, 5), (5, 6)))


def test_without_an_arrow_letters_that_occur_once_are_the_output_in_order() -> None:
    on_mesh(einsum("kj,ji", (3, 4), (4, 5)))


def test_a_constant_whose_diagonal_is_read_is_a_product() -> None:
    on_mesh(einsum("bi,iij->bj", (3, 4), (4, 4, 5)))


def test_constants_of_one_product_are_multiplied_beforehand() -> None:
    on_mesh(einsum("bi,ij,jk->bk", (2, 6), (6, 4), (4, 3)))


def test_constants_that_are_smaller_one_by_one_stay_apart() -> None:
    # 6 x 1 and 1 x 6 numbers against 6 x 6 of their product.
    assert reason_of(einsum("bi,ij,jk->bk", (3, 6), (6, 1), (1, 6))) == (
        "its constants are smaller one by one than multiplied with one another"
    )


def test_channels_are_mixed_where_they_lie() -> None:
    graph = on_mesh(einsum("nchw,oc->nohw", (2, 3, 4, 5), (6, 3)))
    assert operators(graph) == ["Reshape", "Conv", "Reshape"]
    assert operators(on_mesh(einsum("ncl,oc->nol", (2, 3, 4), (6, 3)))) == ["Conv"]


def test_a_linear_layer_written_as_einsum_is_one_matmul() -> None:
    assert operators(on_mesh(einsum("btd,de->bte", (2, 3, 4), (4, 5)))) == ["MatMul"]


def test_a_matrix_for_each_head_is_one_group_for_each_head() -> None:
    # Four heads of 5 to 3 on a mesh: 4 groups of 3 x 5.
    graph = on_mesh(einsum("bhtd,hde->bhte", (2, 4, 6, 5), (4, 5, 3)))
    geometry = products(graph)["it"].geometry
    assert (geometry.groups, geometry.in_channels, geometry.out_channels) == (4, 20, 12)


def test_matrices_that_read_the_same_data_are_stacked() -> None:
    # Three matrices of 4 x 5 for one vector: 15 rows, no group.
    graph = on_mesh(matmul([6, 4], [3, 4, 5], "b"))
    (weight,) = products(graph)["it"].weights
    assert weight.shape == (1, 15, 4)


def test_a_free_batch_stays_free() -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], name="it", equation="bhtd,hde->bthe")
    weight = numbers(4, 5, 3)
    model = network([node], {"x": ["N", 4, 6, 5]}, {"y": 4}, {"w": weight})
    graph = passes.run(from_model(model))
    for batch in (1, 3):
        x = numbers(batch, 4, 6, 5)
        npt.assert_allclose(
            execute(graph, {"x": x})[0], np.einsum("bhtd,hde->bthe", x, weight), atol=1e-5
        )


def test_axes_of_the_data_that_nobody_else_has_are_summed_before() -> None:
    graph = on_mesh(einsum("bti,ij->bj", (2, 3, 4), (4, 5)))
    assert operators(graph) == ["ReduceSum", "MatMul"]


def test_a_product_of_two_activations_and_a_constant_stays_digital() -> None:
    node = helper.make_node("Einsum", ["x", "w", "z"], ["y"], name="it", equation="bi,ij,bj->b")
    shapes = {"x": [2, 3], "z": [2, 4]}
    graph = from_model(network([node], shapes, {"y": 1}, {"w": numbers(3, 4)}))
    assert lower(graph.nodes[0], graph) == ("its factors 'x' and 'z' are both computed at run time")


@pytest.mark.parametrize(
    ("equation", "x", "weight", "reason"),
    [
        ("ii,ij->j", (3, 3), (3, 4), "it reads the diagonal of its data 'x'"),
        ("bi,i->bi", (2, 3), (3,), "it sums over no axis that its data share with its weight"),
        ("i,j->ij", (3,), (4,), "it sums over no axis that its data share with its weight"),
    ],
)
def test_what_no_matrix_can_do_stays_digital(
    equation: str, x: tuple[int, ...], weight: tuple[int, ...], reason: str
) -> None:
    assert reason_of(einsum(equation, x, weight)) == reason


def test_a_weight_in_double_precision_stays_digital() -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], name="it", equation="ij,jk->ik")
    weight = numbers(3, 4).astype(np.float64)
    graph = from_model(network([node], {"x": [2, 3]}, {"y": 2}, {"w": weight}))
    assert lower(graph.nodes[0], graph) == ("its weight 'w' is float64 and the mesh takes float32")


def reason_of(model: onnx.ModelProto) -> str:
    """Return why the one operator of a model stays as it is."""
    graph = from_model(model)
    assert PASSES["reduce_contractions"](graph) is graph
    reason = lower(graph.nodes[0], graph)
    assert isinstance(reason, str)
    return reason


def test_an_equation_that_gives_an_axis_of_its_own_stays_digital() -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], name="it", equation="ij,jk->mk")
    graph = from_model(network([node], {"x": [2, 3]}, {"y": 2}, {"w": numbers(3, 4)}))
    reason = "its equation 'ij,jk->mk' gives an axis that no operand has"
    assert lower(graph.nodes[0], graph) == reason
