"""The link budget against published figures, identities and its own optimum."""

from __future__ import annotations

import math

import pytest

from photonpu.errors import MachineError
from photonpu.hardware import LinkBudget, Machine
from photonpu.units import ELECTRON_C, db_to_power, dbm_to_w

MACHINE = Machine.preset("mzi64-eo")


def budget(**values: object) -> LinkBudget:
    return LinkBudget.of(
        MACHINE.override({name.replace("__", "."): value for name, value in values.items()})
    )


def test_lightening_transformers_laser_is_reproduced() -> None:
    machine = Machine.preset("lt-mzi")
    link = LinkBudget.of(machine)

    # -25 dBm at a detector, 1.2 dB, 25 x 0.99 dB and 1:12: 11.74 dBm; 2^4 for 4 bits.
    assert link.path_loss_db == pytest.approx(1.2 + 24.75)
    needed_w = dbm_to_w(-25.0) / db_to_power(link.path_loss_db) * 12
    assert needed_w == pytest.approx(dbm_to_w(11.74), rel=1e-3)
    assert link.laser_power_w == pytest.approx(16 * needed_w, rel=1e-3)


@pytest.mark.parametrize(
    ("ports", "mzi_loss_db", "loss_db"), [(64, 0.99, 128), (64, 0.2, 26), (16, 0.99, 32.67)]
)
def test_the_longest_path_meets_two_meshes_and_an_attenuator(
    ports: int, mzi_loss_db: float, loss_db: float
) -> None:
    link = budget(mesh__ports=ports, mesh__mzi_loss_db=mzi_loss_db)

    assert link.mesh_loss_db == pytest.approx(loss_db, abs=0.5)
    assert link.path_loss_db - link.mesh_loss_db == pytest.approx(0.7 + 1.2)


def test_a_triangle_is_longer_than_a_rectangle() -> None:
    # 2 x (2 x 64 - 3) + 1 interferometers of 0.2 dB.
    assert budget(mesh__topology="reck").mesh_loss_db == pytest.approx(251 * 0.2)


@pytest.mark.parametrize("bits", [4, 8, 10, 14, 16])
@pytest.mark.parametrize("oscillator", ["none", 3000.0])
def test_the_laser_is_sized_for_the_bits_of_the_adc(bits: int, oscillator: object) -> None:
    link = budget(converters__adc_bits=bits, detector__local_oscillator_mw=oscillator)

    assert link.snr_db == pytest.approx(6.02 * bits + 1.76)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_no_other_oscillator_needs_less_laser(factor: float) -> None:
    best = budget()
    other_mw = factor * best.local_oscillator_w * 1e3

    assert budget(detector__local_oscillator_mw=other_mw).laser_power_w > best.laser_power_w


def test_a_given_laser_is_divided_as_one_of_that_size_would_be() -> None:
    sized = budget()

    given = budget(optics__laser_power_mw=sized.laser_power_w * 1e3)

    assert given.signal_power_w == pytest.approx(sized.signal_power_w)
    assert given.local_oscillator_w == pytest.approx(sized.local_oscillator_w)
    assert given.snr_db == pytest.approx(sized.snr_db)


def test_a_given_laser_feeds_signals_and_oscillators() -> None:
    link = budget(optics__laser_power_mw=500.0, detector__local_oscillator_mw=1.0)

    oscillators_w = 64 * 1e-3 / db_to_power(0.7)
    signals_w = 64 * link.signal_power_w / db_to_power(link.path_loss_db)
    assert oscillators_w + signals_w == pytest.approx(0.5)
    assert link.laser_power_w == pytest.approx(0.5)


def test_with_a_strong_oscillator_the_ratio_is_four_times_the_electrons() -> None:
    link = budget(
        optics__laser_power_mw=1e9,
        detector__local_oscillator_mw=1e6,
        detector__tia_noise_pa_per_rthz=0.0,
        detector__dark_current_na=0.0,
    )

    electrons = link.signal_power_w / (5e9 * ELECTRON_C)  # at 1 A/W, in one sample
    floor_only = 1.0 / link.variance.at(0.0)
    assert floor_only == pytest.approx(4.0 * electrons)


def test_shot_noise_has_a_floor_that_does_not_fall_with_the_output() -> None:
    variance = budget().variance

    assert variance.at(0.0) == pytest.approx(variance.shot_floor + variance.dark + variance.thermal)
    assert variance.at(1.0) - variance.at(0.0) == pytest.approx(variance.shot_slope)
    assert variance.shot_floor > variance.shot_slope > 0.0


def test_thermal_noise_is_the_amplifiers_in_half_the_clock() -> None:
    link = budget()

    current = 2.0 * math.sqrt(link.signal_power_w * link.local_oscillator_w)
    assert link.variance.thermal == pytest.approx(1e-11**2 * 2.5e9 / current**2)


def test_wavelengths_share_a_given_laser_and_multiply_a_sized_one() -> None:
    given = {"optics__laser_power_mw": 800.0, "detector__local_oscillator_mw": 1.0}

    assert budget(wavelengths=4).laser_power_w == pytest.approx(4 * budget().laser_power_w)
    assert budget(wavelengths=4, **given).laser_power_w == pytest.approx(0.8)
    assert budget(wavelengths=4, **given).signal_power_w < budget(**given).signal_power_w / 4


def test_a_perfect_receiver_without_losses_closes_its_budget() -> None:
    link = LinkBudget.of(Machine.preset("ideal"))

    assert link.path_loss_db == 0.0
    assert link.snr_db == pytest.approx(98.08)


def test_an_oscillator_that_is_too_weak_for_the_adc_is_refused() -> None:
    with pytest.raises(MachineError, match=r"local_oscillator_mw=0.001: an ADC of 8 bits needs"):
        budget(detector__local_oscillator_mw=0.001)


def test_a_laser_that_oscillators_use_up_is_refused() -> None:
    with pytest.raises(MachineError, match=r"laser_power_mw=50: .* one core take 75.19 mW; give m"):
        budget(optics__laser_power_mw=50.0, detector__local_oscillator_mw=1.0)
