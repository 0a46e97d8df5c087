"""Tiles programmed for one chip: what each method reaches, and what it may know."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from photonpu import mesh
from photonpu.errors import InputError, MachineError
from photonpu.hardware import Chip, Machine
from photonpu.mesh import MESHES, kernels_settle
from photonpu.mesh.selfconfiguration import configure
from photonpu.mesh.values import frozen, frozen_ints
from photonpu.program import programming
from photonpu.program.cutting import cut
from photonpu.program.local import corrected
from photonpu.program.tiles import bank
from photonpu.program.values import TileBank

QUIET = {"mesh.mzi_loss_db": 0.0, "mesh.mzi_loss_std_db": 0.0}


def machine_of(ports: int, **changes: object) -> Machine:
    values = {name.replace("__", "."): value for name, value in changes.items()}
    return Machine.preset("mzi64-eo").override({"mesh.ports": ports, "cores": 2, **QUIET, **values})


def tiles_of(ports: int, topology: str = "clements") -> TileBank:
    weight = np.random.default_rng(3).normal(size=(1, 2 * ports, ports))
    return bank(*cut(weight, ports), topology, 2)


def error(machine: Machine, chip: Chip, method: str, rounding: str = "nearest") -> float:
    made = programming.program(tiles_of(machine.mesh.ports), chip, machine, method, rounding)
    return float(np.sqrt(np.mean(made.error**2)))


@pytest.mark.parametrize("method", ["nominal", "local", "refined"])
def test_a_perfect_chip_needs_no_correction(method: str) -> None:
    machine = machine_of(6)

    assert error(machine, Chip.ideal(machine), method) < 1e-12


@pytest.mark.parametrize("method", ["local", "refined"])
@pytest.mark.parametrize("topology", ["clements", "reck", "clements-3"])
def test_static_phase_errors_and_splits_in_reach_are_made_up_for_exactly(
    method: str, topology: str
) -> None:
    # Splitters err by 1e-5: N^3 sigma^2 / 3 = 1e-8 splits are out of reach (law B4.5).
    machine = machine_of(
        6, mesh__topology=topology, mesh__splitter_error_rad=1e-5, phase__error_rad=0.3
    )
    made = programming.program(tiles_of(6, topology), Chip.draw(machine, 1), machine, method)

    npt.assert_array_equal(made.unreachable, 0)
    assert made.error.max() < 1e-9


def test_each_method_comes_nearer_than_the_one_before() -> None:
    machine = machine_of(8, mesh__splitter_error_rad=0.05, phase__error_rad=0.02)
    chip = Chip.draw(machine, 0)

    found = [error(machine, chip, method) for method in ("nominal", "local", "refined")]

    assert found[1] < 0.7 * found[0]
    assert found[2] < 0.8 * found[1]
    assert error(machine, chip, "self-configured") < 0.5 * found[1]


def test_unequal_arms_are_in_a_tile_s_error_and_only_measured_outputs_make_up_for_some() -> None:
    machine = machine_of(
        8, mesh__mzi_loss_db=0.5, mesh__mzi_imbalance_std_db=0.2, phase__error_rad=0.02
    )
    # Where both arms lose nothing on average, no path loses more than another.
    chip = Chip.draw(machine, 0).without({"loss", "splitter"})
    machine = machine.override({"mesh.mzi_loss_db": 0.0, "mesh.mzi_imbalance_std_db": 0.0})
    even = chip.without({"imbalance"})

    for method in ("local", "refined"):
        assert error(machine, even, method) < 1e-6
        assert error(machine, chip, method) > 5e-4
    # A tile has twice as many phases as numbers that are read of it.
    measured = error(machine, chip, "self-configured")
    assert measured < error(machine, chip, "local")


def test_dead_shifters_are_worked_around_as_far_as_the_others_can() -> None:
    machine = machine_of(8, mesh__splitter_error_rad=0.0, phase__error_rad=0.0)
    chip = Chip.ideal(machine)
    stuck = chip.phi_stuck.copy()
    stuck[:, :, 9] = 2.0
    chip = replace(chip, phi_stuck=stuck)

    local, refined = (error(machine, chip, method) for method in ("local", "refined"))

    assert 0.03 < local < 0.5 * error(machine, chip, "nominal")
    assert refined < 0.8 * local
    assert error(machine, chip, "self-configured") < 0.5 * local


def test_a_stuck_attenuator_gets_the_singular_value_that_it_passes() -> None:
    machine = machine_of(4, cores=1)
    left, right = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 4, 4)))[0]
    weight = left @ np.diag([1.0, 0.8, 0.5, 0.2]) @ right
    tiles = bank(*cut(weight[None], 4), "clements", 1)
    stuck = np.zeros((1, 4))
    stuck[0, 0] = math.pi / 3  # sin(pi / 6) = 0.5, which would be the third attenuator's
    chip = replace(Chip.ideal(machine), attenuator_stuck=stuck)

    for method in ("local", "refined"):
        assert programming.program(tiles, chip, machine, method).error[0] < 1e-9
    assert programming.program(tiles, chip, machine, "nominal").error[0] > 0.3


def test_programming_meets_the_chip_as_the_simulator_does() -> None:
    machine = machine_of(6, mesh__splitter_error_rad=0.05, phase__dead_share=0.02)
    chip, tiles = Chip.draw(machine, 2), tiles_of(6)
    made = programming.program(tiles, chip, machine, "refined")
    exact = programming.real_matrices(tiles, machine, Chip.ideal(machine), frozenset())
    found = mesh.tile_matrices(
        made.tiles.theta,
        made.tiles.phi,
        made.tiles.psi,
        made.tiles.attenuator,
        made.tiles.core,
        chip,
        machine.override({"mesh.correction": "none"}),
        sources=programming.FABRICATION,
    ).real

    distance = np.linalg.norm(found - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))
    npt.assert_allclose(made.error, distance, rtol=1e-9)


def test_self_configuration_needs_nothing_but_outputs() -> None:
    # No mesh at all: fixed random mixers with phase shifters between them.
    ports, layers = 4, 7
    mixers = mesh.haar(ports, layers + 1, 5)

    def read(settings: np.ndarray) -> np.ndarray:
        shifts = np.exp(1j * settings.reshape(len(settings), layers, ports))
        field = np.broadcast_to(mixers[0], (len(settings), ports, ports))
        for layer in range(layers):
            field = mixers[layer + 1] @ (shifts[:, layer, :, None] * field)
        return field.real

    goal = np.linalg.qr(np.random.default_rng(0).normal(size=(ports, ports)))[0]
    settings, errors = configure(read, goal, np.ones(layers * ports), 0, 25)

    assert errors[0] > 0.5
    assert np.all(np.diff(errors) <= 0)
    assert errors[-1] < 1e-6
    npt.assert_allclose(read(settings[None])[0], goal, atol=1e-5)


def test_self_configuration_refuses_what_makes_no_sense() -> None:
    with pytest.raises(InputError, match="rounds=-1, attenuators=0 of 2 shifters: 0 rounds or"):
        configure(lambda s: s[:, None], np.ones((1, 2)), np.zeros(2), 0, -1)
    with pytest.raises(InputError, match="no more attenuators than shifters"):
        configure(lambda s: s[:, None], np.ones((1, 2)), np.zeros(2), 3, 1)


def _rounded(ports: int, bits: int, absorbed: bool) -> float:
    """Return the RMS relative error of Haar unitaries whose phases are rounded."""
    layout, topology = MESHES["clements"].layout(ports), MESHES["clements"]
    unitaries = mesh.haar(ports, 6, 1)
    found = mesh.decompose(unitaries)
    phases = frozen(np.concatenate([found.theta, found.phi, found.psi], axis=1))
    step = 2 * math.pi / 2**bits
    settled = np.round(np.array(phases) / step) * step
    if absorbed:
        columns = np.searchsorted(layout.column, np.arange(layout.depth + 1))
        none = frozen(np.zeros((6, layout.mzis)))
        goals, free = unitaries.view(), np.ones(phases.shape, bool)
        goals.flags.writeable = free.flags.writeable = False
        settled = kernels_settle.settle(
            goals,
            phases,
            frozen(np.zeros_like(phases)),
            free,
            topology.plan(ports, step),
            none,
            none,
            none,
            frozen_ints(columns),
            0,
        )
        npt.assert_allclose(settled / step, np.round(settled / step), atol=1e-6)
    theta, phi, psi = np.split(settled, [layout.mzis, 2 * layout.mzis], axis=1)
    distance = mesh.matrix(mesh.Phases(theta, phi, psi)) - unitaries
    return float(np.sqrt(np.mean(np.linalg.norm(distance, axis=(1, 2)) ** 2) / ports))


def test_rounding_that_later_columns_absorb_halves_the_law_of_plain_rounding() -> None:
    law = math.sqrt(32) * 2 * math.pi / 2**8 / math.sqrt(12)  # B4.6

    assert _rounded(32, 8, absorbed=False) == pytest.approx(law, rel=0.04)
    assert _rounded(32, 8, absorbed=True) < 0.6 * law


@pytest.mark.parametrize("domain", ["phase", "voltage"])
def test_absorbed_settings_are_codes_of_the_converter(domain: str) -> None:
    machine = machine_of(
        6, phase__dac_bits=6, phase__dac_domain=domain, mesh__splitter_error_rad=0.03
    )
    chip = Chip.draw(machine, 0)
    made = programming.program(tiles_of(6), chip, machine, "refined", "absorbed")
    codes = 2 * math.pi * np.arange(64) / 64
    if domain == "voltage":
        codes = math.pi * (np.arange(64) / 63 * 10.8 / 4.36) ** 2

    for name in ("theta", "phi", "psi", "attenuator"):
        settings = getattr(made.tiles, name).ravel()
        assert np.abs(settings[:, None] - codes).min(axis=1).max() < 1e-9
    wanted = programming.real_matrices(tiles_of(6), machine, Chip.ideal(machine), frozenset())
    with_dac = programming.real_matrices(
        made.tiles, machine, chip, programming.FABRICATION | {"dac"}, programmed=True
    )
    npt.assert_allclose(programming.errors(with_dac, wanted), made.error, rtol=1e-6)


def test_absorbing_beats_rounding_each_phase_for_itself_in_both_domains() -> None:
    for domain in ("phase", "voltage"):
        machine = machine_of(16, phase__dac_bits=6, phase__dac_domain=domain)
        chip, tiles = Chip.draw(machine, 0), tiles_of(16)
        exact = programming.real_matrices(tiles, machine, Chip.ideal(machine), frozenset())
        found = {}
        for rounding in programming.ROUNDINGS:
            made = programming.program(tiles, chip, machine, "local", rounding)
            sources = programming.FABRICATION | {"dac"}
            real = programming.real_matrices(made.tiles, machine, chip, sources, programmed=True)
            found[rounding] = np.linalg.norm(programming.errors(real, exact))
        assert found["absorbed"] < 0.8 * found["nearest"]


def test_a_chip_is_itself_a_seed_or_a_file(tmp_path: Path) -> None:
    machine = machine_of(4)
    chip = Chip.draw(machine, 7)
    chip.save(tmp_path / "seven.npz")
    (tmp_path / "map.csv").write_text("core,mesh,column,row,alpha\n0,vh,0,0,0.01\n")

    assert programming.chip_of(chip, machine) is chip
    assert programming.chip_of(7, machine).digest == chip.digest
    alike = machine.override({"mesh.correlation_um": 1e4})
    assert programming.chip_of(7, alike).seed is None
    assert programming.chip_of(7, alike).digest == mesh.varied(chip, alike).digest != chip.digest
    assert programming.chip_of(tmp_path / "seven.npz", machine).digest == chip.digest
    assert programming.chip_of(str(tmp_path / "map.csv"), machine).splitter_in[0, 0, 0] == 0.01
    with pytest.raises(MachineError, match="2 cores of 4 ports and 6 interferometers a mesh, and"):
        programming.chip_of(chip, machine_of(8))


@pytest.mark.parametrize(
    ("method", "rounding", "message"),
    [
        ("locale", "nearest", "programming='locale': there is no such way; did you mean 'local'"),
        ("local", "floor", "rounding='floor': there is no such way; there are: nearest, absorbed"),
        ("self-configured", "absorbed", "it needs the splitters of the chip; use 'local' or"),
    ],
)
def test_what_is_no_way_to_program_is_refused(method: str, rounding: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        programming.check(method, rounding)


@pytest.mark.parametrize(
    ("topology", "left"), [("clements-symmetric", 1e-8), ("clements-real", 3e-3)]
)
def test_push_pull_meshes_are_freed_of_static_errors_and_of_splits_in_reach(
    topology: str, left: float
) -> None:
    # Splitters as above. A theta of the real mesh that should be beyond half a turn stops there.
    machine = machine_of(
        6, mesh__topology=topology, mesh__splitter_error_rad=1e-5, phase__error_rad=0.02
    )
    chip, tiles = Chip.draw(machine, 1), tiles_of(6, topology)

    nominal, local = (programming.program(tiles, chip, machine, m) for m in ("nominal", "local"))

    assert nominal.error.min() > 0.01
    assert local.error.max() < left
    assert np.abs(local.tiles.theta).max() <= np.pi
    npt.assert_array_equal(local.unreachable, 0)


def test_push_pull_meshes_are_corrected_as_those_of_one_arm_are() -> None:
    found = {}
    for topology in ("clements", "clements-symmetric"):
        machine = machine_of(8, mesh__topology=topology, mesh__splitter_error_rad=0.05)
        made = programming.program(
            tiles_of(8, topology), Chip.draw(machine, 0), machine, "local", "nearest"
        )
        found[topology] = made.error, made.unreachable

    npt.assert_allclose(found["clements-symmetric"][0], found["clements"][0], rtol=1e-6)
    npt.assert_array_equal(found["clements-symmetric"][1], found["clements"][1])


def test_splits_of_a_real_mesh_that_are_out_of_reach_are_counted() -> None:
    machine = machine_of(4, mesh__topology="clements-real")
    tiles = tiles_of(4, "clements-real")
    chip = Chip.ideal(machine)
    stuck = chip.theta_stuck.copy()
    stuck[:, 0, 2] = 1.0
    even = np.full_like(chip.splitter_in, np.pi / 4)  # nothing but the bar state is in reach
    dead = replace(chip, theta_stuck=stuck)
    uneven = replace(chip, splitter_in=even, splitter_out=1e-3 - even)

    found = [programming.program(tiles, c, machine, "local").unreachable for c in (dead, uneven)]

    npt.assert_array_equal(found[0], 1)
    assert found[1].min() >= 10


@pytest.mark.parametrize(
    ("method", "rounding"),
    [("refined", "nearest"), ("self-configured", "nearest"), ("local", "absorbed")],
)
def test_what_needs_shifters_in_one_arm_is_refused_to_push_pull_meshes(
    method: str, rounding: str
) -> None:
    machine = machine_of(4, mesh__topology="clements-symmetric")
    message = f"programming='{method}' with rounding='{rounding}' needs those with shifters in one"
    with pytest.raises(InputError, match=message):
        programming.program(tiles_of(4), Chip.ideal(machine), machine, method, rounding)


def test_what_a_dead_shifter_leaves_over_is_taken_on_by_those_behind_it() -> None:
    # A dead theta at the first interferometer: alone, its phases would be all that is handed on.
    machine = machine_of(8, mesh__splitter_error_rad=0.0, phase__error_rad=0.0)
    chip, tiles = Chip.ideal(machine), tiles_of(8)
    stuck = chip.theta_stuck.copy()
    stuck[:, 0, 0] = 2.5
    chip = replace(chip, theta_stuck=stuck)

    local, nominal = (programming.program(tiles, chip, machine, m) for m in ("local", "nominal"))

    npt.assert_array_equal(local.unreachable, 1)
    assert local.error.max() < 0.7 * nominal.error.max()


def test_the_order_of_singular_values_is_that_which_dead_shifters_disturb_least() -> None:
    machine = machine_of(16, mesh__splitter_error_rad=0.0, phase__error_rad=0.0)
    chip, tiles = Chip.ideal(machine), tiles_of(16)
    stuck = chip.phi_stuck.copy()
    stuck[0, 0, 40] = stuck[0, 0, 70] = 2.0
    chip = replace(chip, phi_stuck=stuck)
    on_first = tiles.core == 0

    as_it_is, _ = corrected(tiles, chip, machine)
    local = programming.program(tiles, chip, machine, "local")

    exact = programming.real_matrices(tiles, machine, Chip.ideal(machine), frozenset())
    sources = programming.FABRICATION
    real = programming.real_matrices(as_it_is, machine, chip, sources, programmed=True)
    before = programming.errors(real, exact)
    assert np.all(local.error <= before + 1e-12)
    assert local.error[on_first].mean() < 0.9 * before[on_first].mean()
    # The other core has nothing dead: its tiles keep the order, largest first.
    npt.assert_array_equal(local.tiles.attenuator[~on_first], tiles.attenuator[~on_first])
