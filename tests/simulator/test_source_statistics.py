"""Each source of the table has the mean and the deviation of its law, and each seed its own draws.

Laws are hand calculations. A source that is entered into the table and has none here fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from photonpu.hardware import Chip, Machine
from photonpu.hardware.chip import SOURCES
from photonpu.mesh import MESHES, variation
from photonpu.mesh.crosstalk import kappa, line_couplings
from photonpu.mesh.kernels import _program
from photonpu.mesh.values import frozen
from photonpu.simulator import NOISES, PhotonicMatrix, ageing, detection
from photonpu.simulator.noise import Noise
from photonpu.simulator.transfer import transfer
from tests.simulator.test_noise import LOUD, SAMPLED, expected_variance

Floats = NDArray[np.float64]

MANY, FEW = 1_000_000, 40_000
UNIFORM = 1.8  # fourth moment of a uniform number, in squares of its variance
LARGE = Machine.preset("mzi64-eo").override({"mesh.ports": 64, "cores": 4})


class Law(NamedTuple):
    """Numbers that a source draws, and what they should be like.

    `kurtosis` is the fourth moment in squares of the variance: 3 for a normal number. `seeded`:
    whether another seed gives other numbers.
    """

    drawn: Floats
    mean: float
    sigma: float
    kurtosis: float = 3.0
    seeded: bool = True


def of_chips(count: int, seed: int, machine: Machine, name: str, arrays: tuple[str, ...]) -> Floats:
    """Return `count` numbers of a source's arrays of several chips, those of one seed apart."""
    parts: list[Floats] = []
    chip = 1000 * seed
    while sum(map(len, parts)) < count:
        made = Chip.draw(machine, chip)
        parts += [getattr(made, array).ravel() for array in arrays or SOURCES[name]]
        chip += 1
    return np.concatenate(parts)[:count]


def splitter(count: int, seed: int) -> Law:
    third = LARGE.override({"mesh.topology": "clements-3"})
    return Law(of_chips(count, seed, third, "splitter", ()), 0.0, 0.02)


def phase(count: int, seed: int) -> Law:
    return Law(of_chips(count, seed, LARGE, "phase", ()), 0.0, 0.002)


def loss(count: int, seed: int) -> Law:
    return Law(of_chips(count, seed, LARGE, "loss", ()), 0.2, 0.02)


def imbalance(count: int, seed: int) -> Law:
    machine = LARGE.override({"mesh.mzi_imbalance_db": -0.05, "mesh.mzi_imbalance_std_db": 0.03})
    return Law(of_chips(count, seed, machine, "imbalance", ()), -0.05, 0.03)


def heater(count: int, seed: int) -> Law:
    # Cut at 3 sigma: the variance is 1 - 6 p / P of the whole one's, with the normal density
    # p = 0.00443185 there and P = 0.99730020 within; the fourth moment 3 - 2 p (27 + 9) / P.
    machine = LARGE.override({"phase.gamma_error_rad_per_v2": 0.002})
    left = 1 - 6 * 0.00443185 / 0.99730020
    fourth = 3 - 2 * 0.00443185 * (27 + 9) / 0.99730020
    sigma = 0.002 / (math.pi / 4.36**2) * math.sqrt(left)
    return Law(of_chips(count, seed, machine, "heater", ()), 0.0, sigma, fourth / left**2)


def dead(count: int, seed: int) -> Law:
    # A stuck shifter is anywhere in a turn, the others are 0: moments of the mixture.
    share, turn = 0.3, 2 * math.pi
    drawn = of_chips(count, seed, LARGE.override({"phase.dead_share": share}), "dead", ())
    mean, square = share * turn / 2, share * turn**2 / 3
    cube, fourth = share * turn**3 / 4, share * turn**4 / 5
    variance = square - mean**2
    central = fourth - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4
    return Law(drawn, mean, math.sqrt(variance), central / variance**2)


def correlated(count: int, seed: int) -> Law:
    # A whole chip shares one field, which gives one independent number.
    machine = LARGE.override(
        {"mesh.ports": 2, "cores": 1, "phase.error_rad": 0.0, "mesh.correlation_um": 1000.0}
    )
    chips = range(100_000 * seed, 100_000 * seed + math.isqrt(count))
    made = [variation.correlated(Chip.draw(machine, chip), machine) for chip in chips]
    return Law(np.array([chip.splitter_in[0, 0, 0] for chip in made]), 0.0, 0.02)


def regional(count: int, seed: int) -> Law:
    machine = LARGE.override({"mesh.region_factor": 2.0, "mesh.region_radius_um": 1e7})
    parts: list[Floats] = []
    chip = 1000 * seed
    while sum(map(len, parts)) < count:
        found = variation.regional(machine, Chip.draw(machine, chip))
        parts += [found[name].ravel() for name in SOURCES["splitter"] if name in found]
        chip += 1
    # Twice the deviation in all: sqrt(2^2 - 1) of it comes on top.
    return Law(np.concatenate(parts)[:count], 0.0, 0.02 * math.sqrt(3))


def drift(count: int, seed: int) -> Law:
    hours = {"phase.drift_rad_per_rth": 0.003, "environment.since_calibration_s": 9 * 3600.0}
    machine = LARGE.override(hours)
    return Law(aged(count, seed, machine, ageing.drift), 0.0, 0.003 * 3)


def ambient(count: int, seed: int) -> Law:
    # 20 K on silicon: 2 pi / 1.55 um x 1.8e-4 / K x 0.5 um x 20 K = 7.2966 mrad.
    machine = LARGE.override(
        {
            "phase.thermo_optic_per_k": 1.8e-4,
            "mesh.path_difference_um": 0.5,
            "environment.ambient_change_k": 20.0,
        }
    )
    return Law(aged(count, seed, machine, ageing.ambient), 0.0, 7.2966e-3)


def aged(
    count: int, seed: int, machine: Machine, source: Callable[[Machine, Chip], dict[str, Floats]]
) -> Floats:
    """Return phase errors of several chips that have aged."""
    parts: list[Floats] = []
    chip = 1000 * seed
    while sum(map(len, parts)) < count:
        made = Chip.draw(machine, chip)
        parts += [error.ravel() for error in source(machine, made).values()]
        chip += 1
    return np.concatenate(parts)[:count]


def dac(count: int, seed: int) -> Law:
    # Six bits of a turn: what is rounded off is uniform over a step.
    step = 2 * math.pi / 64
    wanted = np.random.default_rng(seed).uniform(step, 2 * math.pi - step, count)
    none, ones = np.zeros(count), np.ones(count)
    met, plan = wanted.copy(), MESHES["clements"].plan(2, step)
    _program(met, 0, plan, line_couplings(count, 1000.0), none, none, ones)
    return Law(met - wanted, 0.0, step / math.sqrt(12), UNIFORM, seeded=False)


def crosstalk(count: int, seed: int) -> Law:
    # Attenuators 20 um apart, heat from four on either side (the fifth is 100 um away); every
    # tenth has neighbours of its own. Phases are uniform over a turn.
    lines, size = count // 1000, 10 * 1000 + 10
    wanted = np.random.default_rng(seed).uniform(0.0, 2 * math.pi, (lines, size))
    none, ones, couplings = np.zeros(size), np.ones(size), line_couplings(size, 20.0)
    couplings = couplings._replace(strength=frozen(0.5 * couplings.strength))
    met = wanted.copy()
    for line in met:
        _program(line, 0, MESHES["clements"].plan(2), couplings, none, none, ones)
    share = 0.5 * 2 * kappa([20.0, 40.0, 60.0, 80.0])
    mean = share.sum() * math.pi
    sigma = math.sqrt((share**2).sum() / 2 * (2 * math.pi) ** 2 / 12)
    return Law((met - wanted)[:, 5:-5:10].ravel(), mean, sigma, seeded=False)


def of_samples(count: int, name: str, x: Floats, machine: Machine, seed: int) -> Floats:
    """Return samples of an identity of eight ports with one source."""
    field = np.resize(x, (8, count // 8)).astype(np.float32)
    matrix = PhotonicMatrix(np.eye(8), machine, noise=name, seed=seed)
    return np.asarray(matrix @ field, np.float64).ravel()


def a_sample(name: str) -> Callable[[int, int], Law]:
    def law(count: int, seed: int) -> Law:
        drawn = of_samples(count, name, np.array([0.7]), LOUD, seed)
        return Law(drawn, 0.7, math.sqrt(expected_variance(name, 0.7, LOUD)))

    return law


def input_dac(count: int, seed: int) -> Law:
    x = np.random.default_rng(seed).uniform(-1, 1, count)
    y = of_samples(count, "input_dac", x, LOUD.override({"converters.input_bits": 6}), 0)
    rounded = y - np.resize(x, count)
    return Law(rounded, 0.0, 1 / 31 / math.sqrt(12), UNIFORM, seeded=False)


def adc(count: int, seed: int) -> Law:
    x = np.random.default_rng(seed).uniform(-1, 1, count)
    y = of_samples(count, "adc", x, LOUD.override({"converters.adc_bits": 6}), 0)
    rounded = y - np.resize(x, count)
    return Law(rounded, 0.0, 1 / 31 / math.sqrt(12), UNIFORM, seeded=False)


def modulator(count: int, seed: int) -> Law:
    # sin(pi x / 2) of a uniform x: mean squares 1/2 and 3/8.
    x = np.random.default_rng(seed).uniform(-1, 1, count)
    y = of_samples(count, "modulator", x, LOUD, 0)
    return Law(y, 0.0, math.sqrt(0.5), 1.5, seeded=False)


def followed(name: str) -> Callable[[int, int], Law]:
    """Return the law of noise that follows the light: normal, of the share that `transfer` gives.

    That share itself is compared with drawn phases and wavelengths in `test_noise`.
    """

    def law(count: int, seed: int) -> Law:
        matrix = PhotonicMatrix(np.eye(8), LOUD, noise=name, seed=seed)
        made = transfer(matrix.program.tiles, LOUD, Chip.ideal(LOUD), {name: 1.0})
        assert made.share is not None
        x = np.full(8, 0.7)
        each = np.asarray(matrix @ np.full((8, count // 8), 0.7, np.float32), np.float64)
        mean = (made.matrices[0] * matrix.program.tiles.scale[0]) @ x
        sigma = np.sqrt(made.share[0] * (x**2).sum()) * matrix.program.tiles.scale[0]
        return Law(((each - mean[:, None]) / sigma[:, None]).ravel(), 0.0, 1.0)

    return law


def of_detectors(name: str) -> Callable[[int, int], Law]:
    sigma = {"detector_gain": 0.02, "detector_offset": 0.01}[name]

    def law(count: int, seed: int) -> Law:
        machine = LARGE.override({"detector.gain_error": 0.02, "detector.offset_error": 0.01})
        parts: list[Floats] = []
        while sum(map(len, parts)) < count:
            chip = Chip.ideal(machine)
            chip = Chip("drawn", 1000 * seed + len(parts), **chip.arrays)
            effect = getattr(detection, name.removeprefix("detector_"))(machine, chip)
            errors = effect.gain - 1.0 if name == "detector_gain" else effect.offset
            parts.append(np.asarray(errors).ravel())
        return Law(np.concatenate(parts)[:count], 0.0, sigma)

    return law


LAWS: dict[str, Callable[[int, int], Law]] = {
    "splitter": splitter,
    "phase": phase,
    "loss": loss,
    "correlated": correlated,
    "regional": regional,
    "imbalance": imbalance,
    "heater": heater,
    "drift": drift,
    "ambient": ambient,
    "dac": dac,
    "dead": dead,
    "crosstalk": crosstalk,
    "jitter": followed("jitter"),
    "input_dac": input_dac,
    "modulator": modulator,
    "dispersion": followed("dispersion"),
    "detector_gain": of_detectors("detector_gain"),
    "detector_offset": of_detectors("detector_offset"),
    "adc": adc,
} | {name: a_sample(name) for name in SAMPLED}


def test_every_source_of_the_table_has_a_law_here() -> None:
    assert set(LAWS) == set(NOISES)


@pytest.mark.parametrize("entry", list(NOISES.values()), ids=list(NOISES))
def test_a_source_names_fields_of_the_machine_and_says_what_it_does_and_who_says_so(
    entry: Noise,
) -> None:
    units = {parameter.path: parameter.unit for parameter in Machine.fields()}
    fields = entry.parameter.split(", ")

    assert set(fields) <= set(units)
    assert entry.unit in (units[fields[0]], "")
    assert len(entry.equation) > 10
    assert len(entry.source) > 10


def check(name: str, count: int) -> None:
    """Check mean, deviation and independence of one source on `count` numbers."""
    law = LAWS[name](count, 7)

    n, sigma = law.drawn.size, law.sigma
    assert n in (count, math.isqrt(count))
    # What single precision leaves of a number near 1 is 6e-8.
    assert abs(law.drawn.mean() - law.mean) < 3 * sigma / math.sqrt(n) + 6e-8
    off = ((law.drawn - law.mean) ** 2).mean() / sigma**2 - 1
    assert abs(off) < 3 * math.sqrt((law.kurtosis - 1) / n) + 1e-3 * (sigma < 1e-4)
    if law.seeded:
        neighbour = LAWS[name](count, 8).drawn
        assert abs(np.corrcoef(law.drawn, neighbour)[0, 1]) < 4 / math.sqrt(n)


@pytest.mark.parametrize("name", list(NOISES))
def test_a_source_has_its_mean_and_its_deviation_in_a_sample(name: str) -> None:
    check(name, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NOISES))
def test_a_source_has_its_mean_and_its_deviation_in_a_million_numbers(name: str) -> None:
    check(name, MANY)
