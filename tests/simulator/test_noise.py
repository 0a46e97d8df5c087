"""Every noise source: its switch, its strength, its mean and variance; and sources of one's own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.errors import InputError
from photonpu.hardware import Chip, LinkBudget, Machine
from photonpu.registry import UnknownNameError
from photonpu.simulator import NOISES, Effect, PhotonicMatrix, Session, noise_source
from photonpu.simulator.receiver import SAMPLINGS
from photonpu.simulator.strengths import described, strengths

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 8, "cores": 2})
#: A machine on which every source acts.
LOUD = MACHINE.override(
    {
        "wavelengths": 3,
        "mesh.mzi_width_um": 20.0,
        "mesh.splitter_dispersion_per_nm": 0.02,
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


@pytest.mark.parametrize("name", list(NOISES))
def test_each_source_alone_changes_the_result(name: str) -> None:
    assert not np.array_equal(output("ideal"), output(name))


@pytest.mark.parametrize("name", list(NOISES))
def test_a_source_of_strength_zero_is_the_identity(name: str) -> None:
    npt.assert_array_equal(output({name: 0.0}), output("ideal"))


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


NOTHING = {
    "splitter": {"mesh.splitter_error_rad": 0.0},
    "phase": {"phase.error_rad": 0.0},
    "loss": {"mesh.mzi_loss_db": 0.0, "mesh.mzi_loss_std_db": 0.0},
    "dead": {"phase.dead_share": 0.0},
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
