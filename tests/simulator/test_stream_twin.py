"""The streaming kernel is its twin to 1e-6 of the largest output, and no code of an ADC differs.

Weights and inputs are multiples of 1/8, so that every sum of their products is exact in single
precision, in whatever order it is taken: what is left is how noise, codes and units are rounded.
Without noise no code is near an edge. With noise a sample can be: where one is, by a literal
computation in double precision, it may fall to either side, and nowhere else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu.simulator import kernels, reference

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]

LANES = 16
EIGHTH = np.float32(1 / 8)
TOLERANCE = 1e-6
#: Nothing, for each sample, for each sample coarsely, merged: as of `reference.stream`.
SILENT, EXACT, FAST, MERGED = range(4)


class Case(NamedTuple):
    """Arguments of `stream`, and those of its vectors and rows that count."""

    arguments: dict[str, Any]
    shape: tuple[int, int]

    def computed(self, function: Any) -> Singles:
        """Return the (rows, vectors) that a kernel or its twin computes."""
        rows, vectors = self.shape
        out = np.full(rows * vectors, np.nan, np.float32)
        function(*self.arguments.values(), out)
        return out.reshape(rows, vectors)


def eighths(rng: np.random.Generator, size: int, most: int) -> Singles:
    """Return multiples of 1/8 up to `most` of them on either side of zero."""
    return rng.integers(-most, most + 1, size).astype(np.float32) * EIGHTH


@st.composite
def cases(draw: st.DrawFn, sampling: int, levels: float, dithered: bool = False) -> Case:
    """Draw the panels of one matrix, vectors somewhere in a field, and a receiver."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = rng.integers(1, 24, draw(st.integers(1, 3))).tolist()
    ends = np.cumsum([0, *widths]).tolist()
    weights: list[Singles] = []
    lanes: list[Singles] = []
    panel: list[tuple[int, ...]] = []
    group: list[tuple[int, ...]] = []
    rows = begin = lane = 0
    for _ in range(draw(st.integers(1, 3))):
        height = int(rng.integers(1, 65))
        whole = -(-height // LANES)
        group.append((len(panel), len(panel) + len(widths), rows, rows + height))
        rows += height
        for index, width in enumerate(widths):
            # One panel at least reaches every row; others some of them.
            first = 0 if index == 0 else int(rng.integers(0, whole))
            registers = whole if index == 0 else int(rng.integers(1, whole - first + 1))
            tile, register = rng.integers(0, [1000, 4]).tolist()
            inputs, key = ends[index : index + 2], (tile, first + register, index)
            panel.append((*inputs, begin, lane, first, registers, *key))
            weights.append(eighths(rng, LANES * width * registers, 16))
            lanes.append(some_lanes(rng, registers, sampling != SILENT).ravel())
            begin, lane = begin + len(weights[-1]), lane + len(lanes[-1])
    count, lead = draw(st.integers(1, 210)), draw(st.integers(0, 3))
    together = -(-(count + lead) // 4) * 4
    arguments = {
        "field": eighths(rng, 500, 8),
        "base": rng.integers(0, 200, together).astype(np.int32),
        "offset": rng.integers(0, 200, ends[-1]).astype(np.int32),
        "panels": (
            np.concatenate(weights),
            np.array(panel, np.int64),
            np.array(group, np.int64),
            np.concatenate(lanes),
        ),
        "place": places(count, draw(st.integers(1, 3))),
        "row": rng.permutation(rows).astype(np.int64) * count,
        "bias": rng.standard_normal(rows).astype(np.float32),
        "lead": lead,
        "draw": draw(st.integers(0, 2**34)),
        "power": rng.uniform(0, 4, (len(widths), together * draw(st.integers(0, 1)))).astype("f4"),
        "receiver": (levels, 1e-4 if sampling else 0.0, dithered),
        "sampling": sampling,
        "key": rng.integers(0, 2**32, 4).astype(np.uint32),
        "coder": (0.0, 0.0, False),
    }
    return Case(arguments, (rows, count))


def places(count: int, apart: int) -> NDArray[np.int64]:
    """Return the numbers below `count` in runs of neighbours that lie so far apart."""
    return np.concatenate([np.arange(i, count, apart, dtype=np.int64) for i in range(apart)])


def some_lanes(rng: np.random.Generator, registers: int, noisy: bool) -> Singles:
    """Return steps, units, shift, floor and share of the registers of a panel.

    Steps are powers of two. The shift is an odd multiple of 1/1024: no exact sum of products,
    multiples of 1/64 and here of 1/128 of a step at the finest, comes near half a step.
    """
    shape = registers, LANES
    steps = 2.0 ** rng.integers(-1, 2, shape)
    units = rng.uniform(0.1, 2.0, shape)
    shift = (2 * rng.integers(-700, 700, shape) + 1) / 1024
    floor, share = rng.uniform(0.0, 1e-2, shape) * noisy, rng.uniform(0.0, 1e-2, shape) * noisy
    return np.stack([steps, units, shift, floor, share], axis=1).astype(np.float32)


def near_edges(case: Case) -> Floats:
    """Return, (rows, vectors), what samples near the edge of a code may add to an output.

    A literal computation in double precision, from the twin's numbers; near is what single
    precision and the polynomials of normal numbers leave open.
    """
    a = case.arguments
    levels, slope, dithered = a["receiver"]
    weights, panels, groups, lanes = a["panels"]
    vectors, lead = len(a["base"]), a["lead"]
    rows, count = case.shape
    found = np.zeros((rows, count))
    for first_panel, last_panel, first_row, last_row in groups:
        total = np.zeros((vectors, -(-(last_row - first_row) // LANES) * LANES))
        for low, high, begin, lane, first, registers, tile, register, span in panels[
            first_panel:last_panel
        ]:
            width, outputs = high - low, LANES * registers
            packed = weights[begin : begin + width * outputs].reshape(registers, width, LANES)
            matrix = packed.transpose(1, 0, 2).reshape(width, outputs).astype(np.float64)
            value = a["field"][a["base"][:, None] + a["offset"][low:high]] @ matrix
            quantities = lanes[lane : lane + 5 * outputs].reshape(registers, 5, LANES)
            steps, units, shift, floor, share = (
                quantities.transpose(1, 0, 2).reshape(5, outputs).astype(np.float64)
            )
            variance = floor + slope * value**2
            if a["power"].shape[1]:
                variance = variance + share * a["power"][span][:, None]
            sigma = np.sqrt(variance) * steps
            code, open_to = value * steps + shift, 3e-7 * np.abs(value * steps) + 1e-6
            number = vectors, register + registers
            if a["sampling"] in (EXACT, FAST):
                coarse = a["sampling"] == FAST
                normals = reference.sample_normals(a["key"], tile, 4 * a["draw"], *number, coarse)[
                    :, LANES * register :
                ]
                code, open_to = code + sigma * normals, open_to + 5e-6 * sigma
            if dithered:
                code = (
                    code
                    + reference.sample_dithers(a["key"], tile, 4 * a["draw"], *number)[
                        :, LANES * register :
                    ]
                )
            edge = np.abs(np.abs(code - np.floor(code)) - 0.5) < open_to
            edge &= np.abs(code) < levels + 1.0
            total[:, LANES * first : LANES * first + outputs] += edge * units
        inside = total[lead : lead + count, : last_row - first_row].T
        found[np.ix_(a["row"][first_row:last_row] // count, a["place"])] = inside
    return found


def largest(outputs: Singles) -> float:
    """Return the largest magnitude of outputs, of an empty array 0."""
    return float(np.abs(outputs).max(initial=0.0))


@pytest.mark.parametrize("levels", [0.0, 1.0, 127.0, 2047.0])
def test_without_noise_it_is_its_twin_and_every_code_the_same(levels: float) -> None:
    @given(cases(SILENT, levels))
    def agrees(case: Case) -> None:
        fast, slow = case.computed(kernels.stream), case.computed(reference.stream)

        assert np.isfinite(slow).all()
        if levels:
            npt.assert_array_equal(near_edges(case), 0.0)
        npt.assert_allclose(fast, slow, rtol=0, atol=TOLERANCE * largest(slow))

    agrees()


@pytest.mark.parametrize("sampling", [EXACT, FAST, MERGED])
def test_with_noise_and_no_adc_it_is_its_twin(sampling: int) -> None:
    @given(cases(sampling, 0.0))
    def agrees(case: Case) -> None:
        fast, slow = case.computed(kernels.stream), case.computed(reference.stream)

        assert np.isfinite(slow).all()
        npt.assert_allclose(fast, slow, rtol=0, atol=TOLERANCE * largest(slow))

    agrees()


@pytest.mark.parametrize("dithered", [False, True])
@pytest.mark.parametrize("levels", [7.0, 127.0, 2047.0])
@pytest.mark.parametrize("sampling", [SILENT, EXACT, FAST, MERGED])
def test_only_codes_at_an_edge_differ_from_the_twin_s_and_by_one(
    sampling: int, levels: float, dithered: bool
) -> None:
    @settings(max_examples=15)
    @given(cases(sampling, levels, dithered))
    def agrees(case: Case) -> None:
        fast, slow = case.computed(kernels.stream), case.computed(reference.stream)

        allowed = near_edges(case)
        off = np.abs(fast.astype(np.float64) - slow)
        assert (off <= TOLERANCE * largest(slow) + allowed * (1 + 1e-6)).all()
        assert (allowed > 0).sum() <= 2 + 0.005 * allowed.size

    agrees()


def test_the_allowance_is_for_edges_alone() -> None:
    # By hand: one weight of 1/8 on an input of 1, in steps of one with a shift of 3/8, is at an
    # edge; a shift of 1/4 is not. Its unit is 2.
    def case_of(shift: float) -> Case:
        lanes = np.zeros((1, 5, LANES), np.float32)
        lanes[0, :3] = np.array([[1.0], [2.0], [shift]])
        weights = np.full(LANES, EIGHTH)
        panels = weights, np.array([[0, 1, 0, 0, 0, 1, 5, 0, 0]]), np.array([[0, 1, 0, 1]])
        arguments = {
            "field": np.ones(1, np.float32),
            "base": np.zeros(4, np.int32),
            "offset": np.zeros(1, np.int32),
            "panels": (*panels, lanes.ravel()),
            "place": np.arange(1),
            "row": np.zeros(1, np.int64),
            "bias": np.zeros(1, np.float32),
            "lead": 0,
            "draw": 0,
            "power": np.zeros((1, 0), np.float32),
            "receiver": (7.0, 0.0, False),
            "sampling": SILENT,
            "key": np.zeros(4, np.uint32),
            "coder": (0.0, 0.0, False),
        }
        return Case(arguments, (1, 1))

    npt.assert_array_equal(near_edges(case_of(3 / 8)), [[2.0]])
    npt.assert_array_equal(near_edges(case_of(1 / 4)), [[0.0]])
    npt.assert_array_equal(case_of(1 / 2).computed(kernels.stream), [[2.0]])
    npt.assert_array_equal(case_of(1 / 4).computed(reference.stream), [[0.0]])
