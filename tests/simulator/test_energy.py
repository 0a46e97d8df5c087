"""Energy against laws and hand calculations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import unitary_group

from photonpu import mesh
from photonpu.hardware import LinkBudget, Machine
from photonpu.program import HostOperator, TileBank
from photonpu.program.tiles import held_phases
from photonpu.simulator.energy import Energy, conversion_energy_j, energy
from photonpu.simulator.latency import latency
from photonpu.simulator.work import Work, count
from tests.simulator.handmade import Product, program

LT = Machine.preset("lt-mzi")


def cost(work: Work, machine: Machine) -> Energy:
    return energy(work, latency(work, machine), machine, LinkBudget.of(machine))


def only(product: Product, machine: Machine, batch: int = 1, phase: float = 0.0) -> Work:
    return next(count(program([product], machine, phase=phase), machine, batch))


def test_conversions_are_counted_for_every_tile() -> None:
    # 20 x 30 on 12 ports: 2 x 3 tiles. Each row of tiles takes all 30 columns, each column all
    # 20 rows; 7 vectors, 2 samples.
    work = only(Product("a", 20, 30, 7), LT, batch=2)

    assert work.tiles == 6
    assert work.dac_samples == 2 * 30 * 14
    assert work.adc_samples == 3 * 20 * 14
    assert work.accumulations == 2 * work.adc_samples


def test_the_converters_cost_what_the_machine_says() -> None:
    work = only(Product("a", 20, 30, 7), LT)

    found = cost(work, LT)

    assert found.dac_j == pytest.approx(420 * 0.446e-12)
    assert found.adc_j == pytest.approx(420 * 0.74e-12)
    assert found.modulators_j == pytest.approx(420 * 4 * 450e-15)


def test_without_a_number_the_adc_follows_the_survey() -> None:
    # Accelergy at 16 nm, 5 GS/s and 8 bits: 1.289 pJ.
    assert conversion_energy_j(Machine.preset("mzi64-eo")) == pytest.approx(1.289e-12, rel=1e-3)


def test_the_laser_burns_while_vectors_pass_and_while_phases_settle() -> None:
    work = only(Product("a", 96, 12, 5000), LT)

    found = cost(work, LT)

    # 8 tiles on 8 cores: 5000 cycles of 0.2 ns, after 2 us; 25 x 2.52 ps of flight.
    lit_s = 1e-6 + 2e-6 + 0.063e-9
    assert found.laser_j == pytest.approx(8 * 0.2389 / 0.2 * lit_s, rel=1e-5)
    assert found.tia_j == pytest.approx(96 * 3e-3 * lit_s, rel=1e-5)


def test_one_core_of_lightening_transformers_laser_takes_1_19_watt() -> None:
    assert LinkBudget.of(LT).laser_power_w / LT.optics.laser_efficiency == pytest.approx(
        1.19, abs=0.005
    )


def haar_bank(ports: int, tiles: int, machine: Machine) -> TileBank:
    """Return tiles of Haar-random unitaries, the phases after the last column left at 0.

    The internal phase of an interferometer of rank k is ``2 arccos(u**(1 / 2k))``; in a mesh of N
    ports N - k have rank k (Russell et al., New J. Phys. 19, 033007 (2017)).
    """
    rng = np.random.default_rng(7)
    ranks = np.repeat(np.arange(1, ports), np.arange(ports - 1, 0, -1))
    shape = (tiles, 2, len(ranks))
    blank = program([Product("a", ports * tiles, ports, 1)], machine).tiles
    return replace(
        blank,
        theta=2.0 * np.arccos(rng.uniform(size=shape) ** (1.0 / (2.0 * ranks))),
        phi=rng.uniform(0.0, 2.0 * np.pi, shape),
    )


@pytest.mark.parametrize(("ports", "units"), [(16, 307), (64, 4678)])
def test_haar_random_cores_hold_as_much_as_the_law_says(ports: int, units: int) -> None:
    machine = Machine.preset("mzi64-eo").override({"mesh.ports": ports})

    held = held_phases(haar_bank(ports, 200, machine))

    # n = 200; the phases phi alone spread by sqrt(N (N - 1) / 3) units a core: 1 % of the mean
    # over 200 cores is 5 standard deviations at 16 ports.
    assert held.mean() == pytest.approx(units, rel=0.01)


def test_decomposed_haar_unitaries_hold_as_much_as_the_law_says() -> None:
    machine = Machine.preset("mzi64-eo").override({"mesh.ports": 16})
    phases = mesh.decompose(unitary_group(16, seed=5).rvs(400), "clements")
    blank = program([Product("a", 16 * 200, 16, 1)], machine).tiles
    bank = replace(
        blank, theta=phases.theta.reshape(200, 2, -1), phi=phases.phi.reshape(200, 2, -1)
    )

    assert held_phases(bank).mean() == pytest.approx(307, rel=0.01)


def test_heaters_hold_their_phases_while_they_settle_and_while_vectors_pass() -> None:
    machine = Machine.preset("mzi64-thermal").override({"mesh.ports": 4, "cores": 2})
    # 4 ports: 2 x (6 interferometers of 2 phases + 4) + 4 attenuators = 36 shifters at pi / 2.
    work = only(Product("a", 8, 4, 100), machine, phase=np.pi / 2)

    found = cost(work, machine)

    held_w = 24.77e-3 * 36 / 2
    assert found.holding_j == pytest.approx(2 * held_w * (10e-6 + 100 / 5e9))
    assert found.programming_j == pytest.approx(2 * 36 * 12.1e-12)


@pytest.mark.parametrize(("phase", "units"), [(-np.pi / 2, 1.5), (5 * np.pi, 1.0)])
def test_phases_are_wrapped_before_they_are_held(phase: float, units: float) -> None:
    machine = Machine.preset("mzi64-thermal").override({"mesh.ports": 2, "cores": 1})
    bank = program([Product("a", 2, 2, 1)], machine, phase=phase).tiles

    # 2 ports: 2 x (1 interferometer of 2 phases + 2) + 2 attenuators = 10 shifters.
    assert held_phases(bank) == pytest.approx([10 * units])


def test_idle_cores_take_copies_only_where_there_are_vectors_to_share() -> None:
    assert only(Product("a", 12, 12, 1000), LT).programmings == 8
    assert only(Product("a", 12, 12, 3), LT).programmings == 3
    assert only(Product("a", 12, 12, 1), LT).programmings == 1
    assert only(Product("a", 108, 12, 1000), LT).programmings == 16


def test_partial_sums_are_written_for_each_sample_and_read_but_the_first() -> None:
    work = only(Product("a", 12, 36, 10), LT)

    # 36 words in, 3 x 12 partial sums out, 2 x 12 of them read again, 10 vectors, 16 bits.
    assert work.sram_bits == (36 + 36 + 24) * 10 * 16


def test_phases_come_from_external_memory_or_from_the_chip() -> None:
    product = Product("a", 12, 12, 1)
    inside = LT.override({"memory.weights_in_dram": False})
    bits = 300 * 12  # shifters of a core, bits of a phase

    assert only(product, LT).dram_bits == bits
    assert only(product, inside).dram_bits == 0
    assert only(product, inside).sram_bits - only(product, LT).sram_bits == bits


def test_activations_that_do_not_fit_on_chip_spill() -> None:
    tight = LT.override({"memory.sram_mb": 0.001})
    relu = HostOperator("relu", "Relu", operations=1, elements_in=600, elements_out=400)
    work = next(count(program([], tight, [relu]), tight, 1))

    assert work.dram_bits == 1000 * 16 - 8000
    assert cost(work, tight).dram_j == pytest.approx(8000 * 3.9e-12)


def test_digital_operators_light_no_laser() -> None:
    relu = HostOperator("relu", "Relu", operations=500, elements_in=10, elements_out=10)
    work = next(count(program([], LT, [relu]), LT, 1))

    found = cost(work, LT)

    assert found.laser_j == found.tia_j == found.holding_j == 0.0
    assert found.digital_j == pytest.approx(500 * 0.1e-12)
    assert found.sram_j == pytest.approx(20 * 16 * 0.058e-12)


def test_the_last_layer_moves_inputs_and_outputs() -> None:
    *_, transfer = count(program([], LT), LT, 3)

    assert transfer.name == "inputs and outputs"
    assert transfer.dram_bits == (10 + 4) * 3 * 16
