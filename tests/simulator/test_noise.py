"""Every noise source: its switch, its strength, its mean and its variance."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import numpy.testing as npt
import pytest

from photonpu import mesh
from photonpu.hardware import Chip, LinkBudget, Machine
from photonpu.hardware.adc import effective_bits
from photonpu.hardware.link import current_variance
from photonpu.keyed import normal_array
from photonpu.simulator import NOISES, PhotonicMatrix, Session
from photonpu.simulator.energy import conversion_energy_j
from photonpu.simulator.engine import bank_matrices
from photonpu.simulator.receiver import SAMPLINGS
from photonpu.simulator.transfer import transfer
from photonpu.simulator.work import count

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 8, "cores": 2})
#: A machine on which every source acts.
LOUD = MACHINE.override(
    {
        "wavelengths": 3,
        "mesh.mzi_width_um": 20.0,
        "mesh.splitter_dispersion_per_nm": 0.02,
        "mesh.mzi_imbalance_db": 0.02,
        "mesh.mzi_imbalance_std_db": 0.02,
        "mesh.correlation_um": 2000.0,
        "mesh.region_factor": 2.0,
        "mesh.region_radius_um": 2000.0,
        "mesh.path_difference_um": 1.0,
        "phase.gamma_error_rad_per_v2": 0.0002,
        "phase.drift_rad_per_rth": 0.001,
        "phase.response_per_k": 1e-4,
        "phase.thermo_optic_per_k": 1e-4,
        "environment.ambient_change_k": 5.0,
        "environment.since_calibration_s": 14400.0,
        "phase.crosstalk": 0.25,
        "phase.dead_share": 0.05,
        "phase.jitter_rad": 0.01,
        "optics.rin_db_per_hz": -120.0,
        "optics.channel_isolation_db": 15.0,
        "optics.modulator_response": "sine",
        "converters.adc_enob": 6.0,
        "detector.gain_error": 0.02,
        "detector.offset_error": 0.01,
    }
)
SCALED = [name for name, entry in NOISES.items() if entry.scales]
SAMPLED = [name for name, entry in NOISES.items() if entry.place == "sample" and entry.act]
N = 1_000_000


def program(machine: Machine = LOUD) -> Any:
    weight = np.random.default_rng(3).standard_normal((11, 13))
    return PhotonicMatrix(weight, machine).program


def feed(count: int = 50) -> dict[str, np.ndarray]:
    x = np.random.default_rng(4).uniform(-1, 1, (count, 13))
    return {"x": x.astype(np.float32)}


def output(noise: Any, machine: Machine = LOUD, **options: Any) -> np.ndarray:
    (y,) = Session(program(machine), noise, **options).run(None, feed())
    return np.asarray(y)


#: What rearranges the errors of another source does nothing without it.
WITH = {"correlated": {"splitter": 1.0}}


@pytest.mark.parametrize("name", list(NOISES))
def test_each_source_changes_the_result(name: str) -> None:
    others = WITH.get(name, {})

    assert not np.array_equal(output(others), output({**others, name: 1.0}))


@pytest.mark.parametrize("name", list(NOISES))
def test_a_source_of_strength_zero_is_the_identity(name: str) -> None:
    others = WITH.get(name, {})

    npt.assert_array_equal(output({**others, name: 0.0}), output(others))


@pytest.mark.parametrize("name", SCALED)
def test_a_source_of_strength_one_is_the_source(name: str) -> None:
    npt.assert_array_equal(output({name: 1.0}), output(name))


@pytest.mark.parametrize("name", SCALED)
def test_twice_the_strength_is_twice_the_deviation(name: str) -> None:
    machine = LOUD.override({"mesh.correction": "none", "mesh.splitter_error_rad": 0.003})
    exact = output("ideal", machine)

    # Weak enough for the first order: homodyne detection sees a phase in the second order too.
    one = output({name: 0.25}, machine) - exact
    two = output({name: 0.5}, machine) - exact

    assert np.sqrt((two**2).mean() / (one**2).mean()) == pytest.approx(2.0, rel=0.06)


NOTHING: dict[str, dict[str, object]] = {
    "splitter": {"mesh.splitter_error_rad": 0.0},
    "phase": {"phase.error_rad": 0.0},
    "loss": {
        "mesh.mzi_loss_db": 0.0,
        "mesh.mzi_loss_std_db": 0.0,
        "mesh.mzi_imbalance_db": 0.0,
        "mesh.mzi_imbalance_std_db": 0.0,
    },
    "dead": {"phase.dead_share": 0.0},
    "correlated": {"mesh.correlation_um": 0.0},
    "regional": {"mesh.region_factor": 1.0},
    "imbalance": {"mesh.mzi_imbalance_db": 0.0, "mesh.mzi_imbalance_std_db": 0.0},
    "heater": {"phase.gamma_error_rad_per_v2": 0.0},
    "drift": {"environment.since_calibration_s": 0.0},
    "ambient": {"environment.ambient_change_k": 0.0},
    "crosstalk": {"phase.crosstalk": 0.0},
    "jitter": {"phase.jitter_rad": 0.0},
    "modulator": {"optics.modulator_response": "linear"},
    "extinction": {"optics.modulator_extinction_db": "none"},
    "rin": {"optics.rin_db_per_hz": "none"},
    "dark": {"detector.dark_current_na": 0.0},
    "thermal": {"detector.tia_noise_pa_per_rthz": 0.0},
    "channels": {"wavelengths": 1},
    "dispersion": {"wavelengths": 1},
    "detector_gain": {"detector.gain_error": 0.0},
    "detector_offset": {"detector.offset_error": 0.0},
    "adc_noise": {"converters.adc_enob": "none"},
}


@pytest.mark.parametrize("name", list(NOTHING))
def test_a_machine_without_a_source_has_no_noise_of_it(name: str) -> None:
    machine = LOUD.override(NOTHING[name])

    npt.assert_allclose(output(name, machine), output("ideal", machine), atol=1e-5)


def unit_samples(name: str, level: float, machine: Machine = LOUD, **options: Any) -> np.ndarray:
    """Return 10^6 samples of `level` in units of full scale, with one source."""
    x = np.full((8, N // 8), level, np.float32)
    return np.asarray(PhotonicMatrix(np.eye(8), machine, noise=name, seed=7, **options) @ x)


def expected_variance(name: str, level: float, machine: Machine) -> float:
    """Return the variance of a sample of `level`: the formulas of docs/physics.md, by hand."""
    link = LinkBudget.of(machine)
    signal, oscillator = link.signal_power_w, link.local_oscillator_w
    bandwidth = machine.clock_ghz * 1e9 / 2
    responsivity = machine.detector.responsivity_a_per_w
    electron = 1.602176634e-19
    passes = 2 if machine.detector.readout == "direct" else 1
    full_scale = (2 * passes * responsivity) ** 2 * signal * oscillator
    relative = 10 ** (-120 / 10) * bandwidth
    ratio = oscillator / signal
    rejected = ratio / 4 * 10 ** (-machine.detector.cmrr_db / 10)
    return {
        "shot": passes
        * 2
        * electron
        * responsivity
        * (signal * level**2 + oscillator)
        * bandwidth
        / full_scale,
        "dark": 2 * electron * 2 * 25e-9 * bandwidth / full_scale,
        "thermal": passes * 1e-11**2 * bandwidth / full_scale,
        "extinction": passes * 2 * electron * responsivity * 0.1 * signal * bandwidth / full_scale,
        "rin": relative * (level**2 + rejected)
        if passes == 1
        else relative * (0.75 * level**2 + ratio / 8),
        "channels": 2 * (2 / 3) * 10 ** (-2 * 15 / 10) * level**2,
        "adc_noise": (4.0**-6 - 4.0**-8) / 3,  # of a range of 1
    }[name]


@pytest.mark.parametrize("readout", ["homodyne", "direct"])
@pytest.mark.parametrize("sampling", list(SAMPLINGS))
@pytest.mark.parametrize("name", SAMPLED)
def test_a_source_has_its_mean_and_its_variance(name: str, sampling: str, readout: str) -> None:
    machine = LOUD.override({"detector.readout": readout})

    y = unit_samples(name, 0.7, machine, sampling=sampling)

    variance = expected_variance(name, 0.7, machine)
    # What single precision rounds of 0.7 is 2e-8 at most.
    assert abs(y.mean() - 0.7) < 3 * math.sqrt(variance / N) + 1e-7
    assert abs(y.var(dtype=np.float64) / variance - 1) < 3 * math.sqrt(2 / N) + 1e-3 * (
        variance < 1e-8
    )


def test_all_sources_of_a_sample_share_one_draw_of_the_sum_of_their_variances() -> None:
    y = np.asarray(
        PhotonicMatrix(np.eye(8), LOUD, noise=SAMPLED, seed=7)
        @ np.full((8, N // 8), 0.7, np.float32)
    )

    variance = sum(expected_variance(name, 0.7, LOUD) for name in SAMPLED)
    assert abs(y.mean() - 0.7) < 3 * math.sqrt(variance / N)
    assert abs(y.var(dtype=np.float64) / variance - 1) < 3 * math.sqrt(2 / N)


WIDE = LOUD.override({"mesh.ports": 64, "cores": 1})


@functools.cache
def identity() -> Any:
    return PhotonicMatrix(np.eye(64), WIDE).program


def detector_outputs(noise: Any, chip: int = 0) -> np.ndarray:
    """Return what each of the 64 detectors of one chip gives for 0 and for 1."""
    x = np.stack([np.zeros(64, np.float32), np.ones(64, np.float32)])
    return np.asarray(Session(identity(), noise, chip).run(None, {"x": x})[0]).T


def test_gains_and_offsets_of_detectors_differ_by_their_deviation_and_by_chip() -> None:
    chips = range(24)
    outputs = [detector_outputs(("detector_gain", "detector_offset"), chip) for chip in chips]
    offset = np.stack([y[:, 0] for y in outputs])
    gain = np.stack([y[:, 1] - y[:, 0] for y in outputs]) - 1

    n = offset.size
    for errors, sigma in ((offset, 0.01), (gain, 0.02)):
        assert abs(errors.mean()) < 3 * sigma / math.sqrt(n)
        assert abs(errors.std() / sigma - 1) < 3 / math.sqrt(2 * n)
        between = np.corrcoef(errors[1:].ravel(), errors[:-1].ravel())[0, 1]
        assert abs(between) < 4 / math.sqrt(n)
    assert abs(np.corrcoef(offset.ravel(), gain.ravel())[0, 1]) < 4 / math.sqrt(n)


def test_measured_errors_of_detectors_take_the_place_of_drawn_ones() -> None:
    errors = np.linspace(-0.1, 0.1, 64)[None]

    y = detector_outputs({"detector_gain": errors, "detector_offset": 0.5 * errors})

    npt.assert_allclose(y[:, 0], 0.5 * errors[0], atol=1e-6)
    npt.assert_allclose(y[:, 1] - y[:, 0], 1 + errors[0], atol=1e-5)


def test_a_sine_modulator_bends_inputs_and_predistortion_straightens_them() -> None:
    # 3 levels a side: 0.5 -> drive 2/3 -> sin(60 deg); predistorted, asin(0.5) = 30 deg -> 1/3.
    levels: dict[str, object] = {"converters.input_bits": 3}
    sine = MACHINE.override(levels | {"optics.modulator_response": "sine"})
    straight = MACHINE.override(levels | {"optics.modulator_response": "predistorted"})
    noise = ("modulator", "input_dac")

    bent = PhotonicMatrix([[1.0]], sine, noise=noise) @ [[0.5, -9.0]]
    rounded = PhotonicMatrix([[1.0]], straight, noise=noise) @ [[0.5, -9.0]]
    exact = PhotonicMatrix([[1.0]], straight, noise="modulator") @ [[0.5, -9.0]]

    npt.assert_allclose(bent, [[math.sqrt(3) / 2, -1.0]], atol=1e-6)
    npt.assert_allclose(rounded, [[0.5, -1.0]], atol=1e-6)
    npt.assert_allclose(exact, [[0.5, -1.0]], atol=1e-6)


def test_rounding_by_chance_is_right_on_average() -> None:
    # 2 bits: levels -1, 0, 1. A sample of 0.3 is 1 in 30 % of the cases: variance 0.3 * 0.7.
    machine = MACHINE.override({"converters.adc_bits": 2, "converters.adc_rounding": "stochastic"})

    y = unit_samples("adc", 0.3, machine)

    assert set(np.unique(np.round(y, 5))) == {0.0, 1.0}
    assert abs(y.mean() - 0.3) < 3 * math.sqrt(0.21 / N)


@pytest.mark.parametrize(
    ("power_w", "bandwidth_hz", "enob"),
    # Published with the equations: 1 A/W, 1 kOhm, RIN -145 dB/Hz; 37.0, 51.0 and 47.6 dB.
    [(10e-6, 1e9, 5.85), (100e-6, 1e9, 8.17), (1e-3, 5e9, 7.61)],
)
def test_a_photodiode_s_effective_bits_are_those_of_its_currents(
    power_w: float, bandwidth_hz: float, enob: float
) -> None:
    johnson = math.sqrt(4 * 1.380649e-23 * 300 / 1e3) * 1e12  # pA/sqrt(Hz)
    machine = MACHINE.override(
        {
            "clock_ghz": 2e-9 * bandwidth_hz,
            "detector.tia_noise_pa_per_rthz": johnson,
            "detector.dark_current_na": 0.0,
            "optics.rin_db_per_hz": -145.0,
        }
    )

    noise = current_variance(machine, power_w)

    snr_db = 10 * math.log10(power_w**2 / sum(noise))
    assert effective_bits(snr_db) == pytest.approx(enob, abs=0.02)


@pytest.mark.parametrize("readout", ["homodyne", "direct"])
@pytest.mark.parametrize("bits", [4, 6, 8])
def test_the_detectors_have_the_effective_bits_that_the_laser_was_sized_for(
    bits: int, readout: str
) -> None:
    machine = MACHINE.override({"converters.adc_bits": bits, "detector.readout": readout})
    x = np.ones((8, 20_000), np.float32)

    y = PhotonicMatrix(np.eye(8), machine, noise=("shot", "dark", "thermal")) @ x

    snr_db = -10 * math.log10(float(y.var(dtype=np.float64)))
    assert effective_bits(snr_db) == pytest.approx(bits, abs=0.02)


def exact_jitter(sigma: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Send vectors through one 16-port tile, each with phases of its own; the first-order way too.

    Returns the vectors' exact products, those with drawn phases, and those of the simulator.
    """
    machine = MACHINE.override({"mesh.ports": 16, "cores": 1, "phase.jitter_rad": sigma})
    rng = np.random.default_rng(11)
    weight = rng.standard_normal((16, 16)) / 4
    matrix = PhotonicMatrix(weight, machine, noise="jitter")
    tiles, chip = matrix.program.tiles, Chip.ideal(machine)
    x = rng.uniform(-1, 1, (16, count)).astype(np.float32)
    theta, phi, psi, attenuator = (
        phase + sigma * rng.standard_normal((count, *phase.shape[1:]))
        for phase in (tiles.theta, tiles.phi, tiles.psi, tiles.attenuator)
    )
    cores = tiles.core.repeat(count)
    fields = mesh.tile_matrices(theta, phi, psi, attenuator, cores, chip, machine)
    drawn = tiles.scale[0] * np.einsum("vij,jv->iv", fields.real, x)
    return weight @ x, drawn, np.asarray(matrix @ x, np.float64)


@pytest.mark.parametrize("sigma", [0.003, 0.03])
def test_jitter_to_first_order_is_that_of_drawn_phases(sigma: float) -> None:
    exact, drawn, fast = exact_jitter(sigma, 1500)

    def shrink(y: np.ndarray) -> float:
        return float((y * exact).sum() / (exact * exact).sum())

    true, ours = shrink(drawn), shrink(fast)
    noise, model = drawn - true * exact, fast - ours * exact
    # The mean shrinks by the same amount, within what 24,000 samples leave open.
    open_to = 4 * noise.std() / np.linalg.norm(exact)
    assert abs(true - ours) < open_to + 0.1 * (1 - true)
    # The total power agrees; that of one output scatters about it.
    assert (model**2).mean() == pytest.approx((noise**2).mean(), rel=0.06)
    assert model.std(axis=1) == pytest.approx(noise.std(axis=1), rel=0.3)


@pytest.mark.parametrize("sampling", list(SAMPLINGS))
def test_the_bits_of_all_sources_depend_on_neither_threads_nor_batch(sampling: str) -> None:
    session = Session(program(), "full", chip=3, seed=9, sampling=sampling)
    x = feed(7)
    most = numba.get_num_threads()
    (whole,) = session.run(None, x)
    try:
        numba.set_num_threads(1)
        parts = [session.run(None, {"x": x["x"][i : i + 1]}, first=i)[0] for i in range(7)]
    finally:
        numba.set_num_threads(most)

    npt.assert_array_equal(np.concatenate(parts), whole)


def test_every_way_to_draw_all_sources_has_one_mean_and_one_spread() -> None:
    machine = LOUD.override({"converters.adc_enob": 4.0})
    x = np.repeat(feed(1)["x"], 20_000, axis=0)
    held = PhotonicMatrix(np.random.default_rng(3).standard_normal((11, 13)), machine).program
    found = {
        way: Session(held, "full", seed=i, sampling=way).run(None, {"x": x})[0]
        for i, way in enumerate(SAMPLINGS)
    }

    sigma = found["exact"].std(axis=0)
    # Merged noise comes behind the ADC and does not hide how it rounds one and the same sample:
    # half a step of each of the two tiles that share a row.
    step = float((held.tiles.adc_range * held.tiles.scale).max()) / 127
    for way, rounded in (("fast", 0.0), ("merged", step)):
        off = np.abs(found[way].mean(axis=0) - found["exact"].mean(axis=0))
        assert (off < 5 * sigma * math.sqrt(2 / 20_000) + rounded).all()
        assert found[way].std(axis=0) == pytest.approx(sigma, rel=0.03)


def test_dispersion_is_the_mean_and_the_scatter_of_the_wavelengths_matrices() -> None:
    machine = LOUD.override({"wavelengths": 5, "mesh.ports": 16})
    rng = np.random.default_rng(12)
    weight = rng.standard_normal((16, 16)) / 4
    matrix = PhotonicMatrix(weight, machine, noise="dispersion")
    x = rng.uniform(-1, 1, (16, 20_000)).astype(np.float32)
    exact, found = weight @ x, np.asarray(matrix @ x, np.float64)

    # Each wavelength's matrix by hand: d lambda of -0.8 to 0.8 nm, 2 % of pi/4 for each nm.
    tiles, chip = matrix.program.tiles, Chip.ideal(machine)
    none = frozenset[str]()
    fields = [
        bank_matrices(tiles, machine, chip, none, np.pi / 4 * 0.02 * (0.4 * channel))[0]
        for channel in (-2, -1, 0, 1, 2)
    ]
    drawn = tiles.scale[0] * np.stack(fields)[rng.integers(0, 5, x.shape[1])]
    true = np.einsum("vij,jv->iv", drawn, x)

    def split(y: np.ndarray) -> tuple[float, float]:
        shrink = float((y * exact).sum() / (exact * exact).sum())
        return shrink, float(((y - shrink * exact) ** 2).mean())

    assert split(found)[0] == pytest.approx(split(true)[0], abs=2e-4)
    assert split(found)[1] == pytest.approx(split(true)[1], rel=0.05)


def test_jitter_has_a_share_on_every_output_in_use_and_none_without_it() -> None:
    quiet = LOUD.override({"phase.jitter_rad": 0.0})
    tiles = program().tiles

    moved = transfer(tiles, LOUD, Chip.ideal(LOUD), {"jitter": 1.0})
    still = transfer(tiles, quiet, Chip.ideal(quiet), {"jitter": 1.0})

    assert still.share is None
    assert moved.share is not None
    in_use = np.arange(8) < tiles.rows[:, None]
    npt.assert_array_equal(moved.share > 0, in_use)


@pytest.mark.parametrize("sigma", [1e-4, 0.01])
def test_jitter_is_the_scatter_of_the_matrices_of_six_pairs_of_moved_chips(sigma: float) -> None:
    # 0x6A697474 is ASCII of "jitt"; a stream for each draw and each array of errors.
    machine = MACHINE.override({"mesh.ports": 64, "phase.jitter_rad": sigma})
    chip = Chip.draw(machine, 4)
    tiles = PhotonicMatrix(np.random.default_rng(8).standard_normal((64, 64)), machine)
    bank, sources = tiles.program.tiles, ("splitter", "phase", "loss", "dac")
    errors = {
        name: getattr(chip, name)
        for name in ("theta_error", "phi_error", "psi_error", "attenuator_error")
    }

    found = transfer(bank, machine, chip, dict.fromkeys((*sources, "jitter"), 1.0))

    exact = bank_matrices(bank, machine, chip, frozenset(sources))
    drawn = []
    for draw in range(6):
        for sign in (1.0, -1.0):
            moved = {
                name: error
                + sign * sigma * normal_array(0x6A697474, draw, stream, shape=error.shape)
                for stream, (name, error) in enumerate(errors.items())
            }
            drawn.append(
                bank_matrices(bank, machine, replace(chip, **moved), frozenset(sources))[0]
            )
    shrink = np.mean([np.vdot(other, exact) for other in drawn]) / np.vdot(exact, exact)
    scatter = np.mean([((other - shrink * exact[0]) ** 2).sum(axis=1) for other in drawn], axis=0)
    npt.assert_allclose(found.matrices, shrink * exact, atol=2e-6)
    assert found.share is not None
    npt.assert_allclose(found.share, [scatter / 64], rtol=1e-3)


def test_a_direct_detector_takes_two_passes() -> None:
    held = program(MACHINE)
    direct = MACHINE.override({"detector.readout": "direct"})

    one, two = (next(iter(count(held, machine, 3))) for machine in (MACHINE, direct))

    assert (two.cycles, two.dac_samples) == (2 * one.cycles, 2 * one.dac_samples)
    assert two.held_vectors == 2 * one.held_vectors
    assert (two.adc_samples, two.turns) == (one.adc_samples, one.turns)


def test_a_direct_detector_needs_half_the_laser_or_more() -> None:
    # It looks twice: for shot noise alone, half the light in each pass is the same light in all.
    silent: dict[str, object] = {
        "detector.tia_noise_pa_per_rthz": 0.0,
        "detector.dark_current_na": 0.0,
    }
    balanced, direct = (
        LinkBudget.of(MACHINE.override(silent | {"detector.readout": readout}))
        for readout in ("homodyne", "direct")
    )

    assert direct.laser_power_w == pytest.approx(balanced.laser_power_w / 2)
    assert direct.snr_db == pytest.approx(balanced.snr_db)


def test_an_adc_of_fewer_effective_bits_costs_what_these_cost() -> None:
    weak = MACHINE.override({"converters.adc_enob": 6.0})
    six = MACHINE.override({"converters.adc_bits": 6})

    assert conversion_energy_j(weak) == conversion_energy_j(six) < conversion_energy_j(MACHINE)
