"""Tile matrices in single precision agree with their literal twin, and what they are made of."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu import mesh, simd
from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.jit import jit
from photonpu.mesh import (
    kernels_chains,
    kernels_lanes,
    kernels_moves,
    kernels_singles,
    kernels_turns,
    reference,
    reference_rows,
)
from photonpu.mesh.crosstalk import no_couplings
from photonpu.mesh.tiles import groups_of, single_tiles
from photonpu.mesh.topologies import MESHES
from photonpu.mesh.values import (
    Couplings,
    Errors,
    Rows,
    Splitters,
    fixed,
    frozen,
    frozen_ints,
    no_rows,
)

LANES = simd.DOUBLE_LANES
ALL = frozenset({"splitter", "phase", "loss", "dac", "crosstalk", "dead", "imbalance", "heater"})


@jit()
def turns(x: NDArray[np.float64], double: NDArray[np.float64], single: NDArray[np.float32]) -> None:
    """Fill sine and cosine in both precisions."""
    sine, cosine = kernels_turns.sincos_lanes(simd.load_doubles(x, 0))
    simd.store(double, 0, sine)
    simd.store(double, LANES, cosine)
    simd.store(double, 2 * LANES, kernels_turns.cosine_lanes(simd.load_doubles(x, 0)))
    short_sine, short_cosine = kernels_turns.turn_lanes(simd.load_doubles(x, 0))
    simd.store(single, 0, short_sine)
    simd.store(single, LANES, short_cosine)


@jit()
def arcs(x: NDArray[np.float64], angle: NDArray[np.float64]) -> None:
    """Fill angles of tangents."""
    simd.store(angle, 0, kernels_turns.arctan_lanes(simd.load_doubles(x, 0)))


@jit()
def collected(
    numbers: NDArray[np.float64], places: NDArray[np.int64], result: NDArray[np.float64]
) -> None:
    """Write eight numbers of each of eight rows across, from the third number on."""
    kernels_moves.collect_doubles(
        simd.address(numbers), simd.address(places), 2, simd.address(result)
    )


@jit()
def across(
    numbers: NDArray[np.float64], places: NDArray[np.int64], result: NDArray[np.float32]
) -> None:
    """Gather eight vectors and store them across."""
    begin, at = simd.address(numbers), simd.address(places)
    a, b, c, d, e, f, g, h = (
        simd.doubles_to_eights(kernels_moves.gather_doubles(begin, at, 0)),
        simd.doubles_to_eights(kernels_moves.gather_doubles(begin, at, 1)),
        simd.doubles_to_eights(kernels_moves.gather_doubles(begin, at, 2)),
        simd.doubles_to_eights(kernels_moves.gather_doubles(begin, at, 3)),
        simd.doubles_to_eights(kernels_moves.gather_doubles(begin, at, 4)),
        simd.doubles_to_eights(kernels_moves.gather_doubles(begin, at, 5)),
        simd.doubles_to_eights(kernels_moves.gather_doubles(begin, at, 6)),
        simd.doubles_to_eights(kernels_moves.gather_doubles(begin, at, 7)),
    )
    kernels_moves.store_across(simd.address(result), 10, 1, a, b, c, d, e, f, g, h)


def test_sines_of_lanes_agree_with_numpy() -> None:
    for start in np.linspace(-20.0, 20.0, 401):
        x = start + np.linspace(0.0, 0.1, LANES)
        double, single = np.empty((3, LANES)), np.empty((2, LANES), np.float32)

        turns(x, double.reshape(-1), single.reshape(-1))

        npt.assert_allclose(double[:2], [np.sin(x), np.cos(x)], rtol=0, atol=4e-16)
        npt.assert_allclose(double[2], np.cos(x), rtol=0, atol=2e-15)
        npt.assert_allclose(single, [np.sin(x), np.cos(x)], rtol=0, atol=1e-7)


def test_angles_of_tangents_agree_with_numpy() -> None:
    for start in np.linspace(-1.0, 0.9, 201):
        x, angle = start + np.linspace(0.0, 0.1, LANES), np.empty(LANES)

        arcs(x, angle)

        npt.assert_allclose(angle, np.arctan(x), rtol=0, atol=2e-13)


def test_numbers_that_are_collected_lie_across() -> None:
    numbers, places = np.arange(400.0), np.array([0, 30, 7, 100, 60, 301, 200, 11])
    result = np.empty((8, LANES))

    collected(numbers, places, result)

    npt.assert_array_equal(result, places + 2 + np.arange(8)[:, None])


@pytest.mark.parametrize("most", [1, 2, 7, 100])
@pytest.mark.parametrize(
    ("topology", "ports"),
    [(name, n) for name in ("clements", "reck", "diamond") for n in (2, 3, 8, 17)]
    + [("butterfly", n) for n in (2, 8, 32)],
)
def test_chains_let_light_meet_all_that_it_reaches_in_order(
    topology: str, ports: int, most: int
) -> None:
    plan = MESHES[topology].plan(ports, 0.0, 0.0, False)
    mzis, inputs = len(plan.row), 4

    found = kernels_chains.chains(plan, ports, inputs, most)

    assert sorted(found.place) == list(range(mzis))
    order = np.argsort(found.place)
    arms = [{m, p} for m, p in zip(plan.row, plan.partner, strict=True)]
    everywhere = len(found.bounds) - 1
    for block in range(everywhere + 1):
        lit = np.zeros(plan.waveguides, np.bool_)
        lit[block * inputs : min(ports, (block + 1) * inputs)] = True
        lit[:ports] |= block == everywhere
        seen: list[int] = []
        for first, links in found.run[found.bounds[block, 0] : found.bounds[block, -1]]:
            piece = order[first : first + 1 + 2 * links].copy()
            piece[1:] = piece[1:].reshape(-1, 2)[:, ::-1].reshape(-1)  # a joint is met last
            for k in piece:
                behind = [j for j in seen if j > k and arms[j] & arms[k]]
                assert not behind
                seen.append(k)
        assert len(set(seen)) == len(seen)
        for k in range(mzis):
            if lit[plan.row[k]] or lit[plan.partner[k]]:
                lit[plan.row[k]] = lit[plan.partner[k]] = True
                assert k in seen
    assert list(found.ends) == sorted(set(found.ends))
    assert found.ends[-1] == mzis


def test_lanes_that_are_stored_across_lie_in_order() -> None:
    numbers, places = np.arange(400.0), np.array([0, 30, 7, 100, 60, 301, 200, 11])
    result = np.zeros(80, np.float32)

    across(numbers, places, result)

    npt.assert_array_equal(result.reshape(8, 10)[:, 1:9], places[:, None] + np.arange(8))
    npt.assert_array_equal(result.reshape(8, 10)[:, [0, 9]], 0.0)


@given(
    st.sampled_from(["clements", "reck", "diamond", "butterfly"]),
    st.sampled_from([2, 4, 8, 16, 32]),
    st.sampled_from([(0.0, 0.0), (math.pi / 32, 0.0), (math.pi / 2048, 0.0), (0.0, 0.01)]),
    st.booleans(),
    st.booleans(),
    st.floats(0.02, 1.0),
    st.integers(0, 2**32 - 1),
)
def test_tile_singles_agree_with_the_reference(
    topology: str,
    ports: int,
    dac: tuple[float, float],
    programmed: bool,
    heated: bool,
    weakest: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    plan = MESHES[topology].plan(ports, *dac, programmed)
    tiles, cores, mzis = 3, 2, len(plan.row)
    shape = (cores, 2, 2 * mzis + ports)
    phases = (
        frozen(rng.uniform(0.0, math.pi, (tiles, 2, mzis))),
        frozen(rng.uniform(-4.0, 10.0, (tiles, 2, mzis))),
        frozen(rng.uniform(-4.0, 10.0, (tiles, 2, ports))),
        frozen(rng.uniform(0.0, math.pi, (tiles, ports))),
    )
    core = frozen_ints(rng.integers(0, cores, tiles))
    known, actual = (
        Splitters(
            *map(frozen, rng.normal(0.0, 0.05, (3, cores, 2, mzis))),
            *map(frozen, rng.normal(0.0, 0.05, (2, cores, ports))),
        )
        for _ in range(2)
    )
    errors = Errors(
        frozen(rng.normal(0.0, 0.1, shape)),
        frozen(rng.normal(0.0, 0.1, (cores, ports))),
        frozen(rng.uniform(weakest, 1.0, (cores, 2, mzis))),
        frozen(rng.uniform(weakest, 1.0, (cores, ports))),
        frozen(np.maximum(rng.uniform(-20.0, 2 * math.pi, shape), 0.0)),
        frozen(np.maximum(rng.uniform(-20.0, 2 * math.pi, (cores, ports)), 0.0)),
        frozen(np.ones((cores, 2, mzis))),
        frozen(np.ones((cores, ports))),
        frozen(rng.uniform(0.9, 1.1, shape)),
        frozen(rng.uniform(0.9, 1.1, (cores, ports))),
    )
    within, line = no_couplings(shape[2]), no_couplings(ports)
    if heated:
        within, line = some_couplings(shape[2], rng), some_couplings(ports, rng)

    exact = reference.tile_matrices(*phases, core, known, actual, errors, plan, within, line).real
    found = kernels_singles.tile_singles(
        *phases,
        *groups_of(core),
        core,
        kernels_lanes.cores(known, actual, errors),
        errors,
        plan,
        kernels_singles.chains_of(plan, ports, errors.gain),
        within,
        line,
        2.0,
        no_rows(cores, ports, tiles),
        np.empty((tiles, ports, ports), np.float32),
    )

    npt.assert_allclose(found, 2.0 * exact, rtol=0, atol=4e-6)


@pytest.mark.parametrize("imbalance_db", [0.0, 0.1])
def test_rows_of_single_tiles_are_written_as_the_reference_writes_those_of_their_matrices(
    imbalance_db: float,
) -> None:
    machine = Machine.preset("mzi64-eo").override(
        {"mesh.ports": 20, "mesh.mzi_imbalance_db": imbalance_db}
    )
    tiles, chip, rng = 13, Chip.draw(machine, 3), np.random.default_rng(0)
    mzis = chip.theta_error.shape[2]
    phases = (
        rng.uniform(0.0, math.pi, (tiles, 2, mzis)),
        rng.uniform(0.0, 6.0, (tiles, 2, mzis)),
        rng.uniform(0.0, 6.0, (tiles, 2, 20)),
        rng.uniform(0.0, math.pi, (tiles, 20)),
    )
    core = rng.integers(0, machine.cores, tiles).astype(np.int32)
    made = single_tiles(chip, machine, sources=ALL)
    rows = some_rows(rng, tiles, 20, machine.cores)

    made.write(phases, core, rows)

    slow = rows._replace(weights=np.zeros_like(rows.weights))
    reference_rows.write_rows(made.matrices(phases, core), core, slow)
    npt.assert_array_equal(rows.weights, slow.weights)


@given(
    st.integers(1, 5), st.integers(1, 40), st.sampled_from([np.float32, np.float64]), st.integers(0)
)
def test_write_rows_agrees_with_its_reference(
    tiles: int, ports: int, kind: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    matrices: np.ndarray = rng.standard_normal((tiles, ports, ports)).astype(kind)
    core = rng.integers(0, 2, tiles).astype(np.int32)
    rows = some_rows(rng, tiles, ports, 2)

    mesh.write_rows(matrices, core, rows)

    slow = rows._replace(weights=np.zeros_like(rows.weights))
    reference_rows.write_rows(matrices, core, slow)
    npt.assert_array_equal(rows.weights, slow.weights)


def test_rows_of_other_tiles_are_refused() -> None:
    rows = some_rows(np.random.default_rng(0), 3, 4, 2)
    with pytest.raises(InputError, match="5 matrices, 5 cores, rows of 3"):
        mesh.write_rows(np.zeros((5, 4, 4)), np.zeros(5, np.int32), rows)


def some_rows(rng: np.random.Generator, tiles: int, ports: int, cores: int) -> Rows:
    """Return that up to three pieces of each tile go to places of their own."""
    pieces, first, begin = [], [0], 0
    for tile in range(tiles):
        for _ in range(rng.integers(0, 4)):
            port, place = int(rng.integers(0, ports)), int(rng.integers(0, 40))
            width = int(rng.integers(1, ports + 1))
            pieces.append((tile, port, rng.integers(0, ports - port + 1), width, place, begin, 0))
            begin += (40 + ports + 16) * width
        first.append(len(pieces))
    return Rows(
        frozen(rng.uniform(0.5, 2, (cores, ports))),
        frozen(rng.uniform(0.5, 2, tiles)),
        fixed(np.array(first)),
        fixed(np.array(pieces, np.int64).reshape(-1, 7)),
        np.zeros(begin, np.float32),
    )


def some_couplings(shifters: int, rng: np.random.Generator) -> Couplings:
    """Return a ring in which each shifter heats the next one."""
    return Couplings(
        frozen_ints(np.arange(shifters + 1)),
        frozen_ints((np.arange(shifters) + 1) % shifters),
        frozen(rng.uniform(0.0, 0.1, shifters)),
    )


@pytest.mark.parametrize("imbalance_db", [0.0, 0.1])
@pytest.mark.parametrize("topology", sorted(MESHES))
def test_single_matrices_of_any_mesh_are_those_of_double_precision(
    topology: str, imbalance_db: float
) -> None:
    machine = Machine.preset("mzi64-thermal").override(
        {
            "mesh.ports": 8,
            "mesh.topology": topology,
            "mesh.mzi_imbalance_db": imbalance_db,
            "phase.dead_share": 0.02,
            "phase.gamma_error_rad_per_v2": 0.002,
        }
    )
    tiles, chip = 21, Chip.draw(machine, 3)
    rng = np.random.default_rng(0)
    mzis = chip.theta_error.shape[2]
    phases = (
        rng.uniform(0.0, math.pi, (tiles, 2, mzis)),
        rng.uniform(0.0, 6.0, (tiles, 2, mzis)),
        rng.uniform(0.0, 6.0, (tiles, 2, 8)),
        rng.uniform(0.0, math.pi, (tiles, 8)),
    )
    core = rng.integers(0, machine.cores, tiles).astype(np.int32)

    found = single_tiles(chip, machine, sources=ALL, scale=3.0).matrices(phases, core)

    exact = mesh.tile_matrices(*phases, core, chip, machine, sources=ALL)
    npt.assert_allclose(found, 3.0 * exact.real, rtol=0, atol=2e-6)
    assert found.dtype == np.float32


def test_single_matrices_do_not_depend_on_what_is_made_with_them() -> None:
    machine = Machine.preset("mzi64-eo").override({"mesh.ports": 8})
    chip, rng = Chip.draw(machine, 0), np.random.default_rng(1)
    mzis = chip.theta_error.shape[2]
    phases = (
        rng.uniform(0.0, math.pi, (19, 2, mzis)),
        rng.uniform(0.0, 6.0, (19, 2, mzis)),
        rng.uniform(0.0, 6.0, (19, 2, 8)),
        rng.uniform(0.0, math.pi, (19, 8)),
    )
    core = (np.arange(19) % machine.cores).astype(np.int32)
    make = single_tiles(chip, machine, sources=ALL).matrices

    def part(t: int) -> NDArray[np.float32]:
        theta, phi, psi, attenuator = (array[t : t + 1] for array in phases)
        return make((theta, phi, psi, attenuator), core[t : t + 1])

    together = make(phases, core)
    alone = np.concatenate([part(t) for t in (0, 5, 18)])

    npt.assert_array_equal(together[[0, 5, 18]], alone)


@pytest.mark.parametrize("error", [0.0, 1e-310, -1e-150, 1e-20, -1e-6, 0.3])
@pytest.mark.parametrize("theta", [0.0, 1e-9, math.pi / 2, math.pi])
def test_phases_without_light_to_correct_are_those_of_double_precision(
    theta: float, error: float
) -> None:
    machine = Machine.preset("mzi64-eo").override({"mesh.ports": 8})
    chip, rng = Chip.ideal(machine), np.random.default_rng(0)
    mzis = chip.theta_error.shape[2]
    splitters = {
        name: np.full_like(getattr(chip, name), error) for name in ("splitter_in", "splitter_out")
    }
    chip = replace(chip, **splitters)
    phases = (
        np.full((2, 2, mzis), theta),
        rng.uniform(0.0, 6.0, (2, 2, mzis)),
        rng.uniform(0.0, 6.0, (2, 2, 8)),
        rng.uniform(0.0, math.pi, (2, 8)),
    )
    core, sources = np.zeros(2, np.int32), frozenset({"splitter", "dac"})

    found = single_tiles(chip, machine, sources=sources).matrices(phases, core)

    exact = mesh.tile_matrices(*phases, core, chip, machine, sources=sources)
    npt.assert_allclose(found, exact.real, rtol=0, atol=2e-6)


def test_light_that_owes_more_than_single_precision_holds_pays_on_its_way() -> None:
    machine = Machine.preset("mzi64-eo").override(
        {"mesh.ports": 64, "mesh.mzi_loss_db": 3.0, "mesh.correction": "none"}
    )
    chip, rng = Chip.draw(machine, 0), np.random.default_rng(1)
    mzis = chip.theta_error.shape[2]
    phases = (
        rng.uniform(0.0, math.pi, (1, 2, mzis)),
        rng.uniform(0.0, 6.0, (1, 2, mzis)),
        rng.uniform(0.0, 6.0, (1, 2, 64)),
        rng.uniform(0.0, math.pi, (1, 64)),
    )
    core, sources = np.zeros(1, np.int32), frozenset({"loss", "splitter"})

    exact = mesh.tile_matrices(*phases, core, chip, machine, sources=sources).real
    scale = 1.0 / np.abs(exact).max()
    found = single_tiles(chip, machine, sources=sources, scale=scale).matrices(phases, core)

    npt.assert_allclose(found, scale * exact, rtol=0, atol=1e-5)
