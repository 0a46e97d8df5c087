"""What `noise` may be: names, strengths, measured errors, and sources of one's own."""

from __future__ import annotations

import doctest
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.registry import UnknownNameError
from photonpu.simulator import NOISES, Effect, PhotonicMatrix, Session, noise_source
from photonpu.simulator.strengths import described, strengths

MACHINE = Machine.preset("mzi64-eo").override(
    {"mesh.ports": 8, "cores": 2, "phase.crosstalk": 0.25}
)


@pytest.fixture
def table() -> Iterator[None]:
    """Take away what a test enters into the table."""
    before = dict(NOISES._entries)
    yield
    NOISES._entries.clear()
    NOISES._entries.update(before)


def test_a_source_of_one_s_own_acts_like_the_others(table: None) -> None:
    @noise_source("pick-up", equation="variance 1e-4", source="a bench")
    def pick_up(machine: Machine, chip: Chip) -> Effect:
        return Effect(floor=np.full((machine.cores, chip.ports), 1e-4), offset=0.25)

    y = PhotonicMatrix(np.eye(8), MACHINE, noise={"pick-up": 2.0}) @ np.zeros((8, 20_000))

    assert "pick-up" in strengths("full")
    assert y.mean() == pytest.approx(0.5, abs=4 * 0.02 / 400)
    assert y.std() == pytest.approx(0.02, rel=0.01)


def test_the_example_of_a_source_of_one_s_own_runs(table: None) -> None:
    (example,) = (test for test in doctest.DocTestFinder().find(noise_source) if test.examples)

    found = doctest.DocTestRunner().run(example)

    assert found.failed == 0 < found.attempted


@pytest.mark.parametrize(
    ("effect", "message"),
    [
        (Effect(floor=-1.0), "'odd': 'floor' is a variance, and -1 < 0"),
        (Effect(slope=math.nan), "'odd': 'slope' is not finite"),
        (Effect(gain=np.ones(3)), r"'odd': 'gain' of shape \(3,\): give a number or an array \(2,"),
    ],
)
def test_an_effect_that_makes_no_sense_is_named(table: None, effect: Effect, message: str) -> None:
    noise_source("odd", equation="", source="")(lambda machine, chip: effect)

    with pytest.raises(InputError, match=message):
        PhotonicMatrix(np.eye(2), MACHINE, noise="odd")


def test_noise_is_a_name_names_or_strengths() -> None:
    assert set(strengths("full")) == set(NOISES)
    assert strengths("ideal") == {}
    assert set(strengths("quantised")) == {"dac", "input_dac", "adc"}
    assert strengths({"full": 1.0, "shot": 2.0, "adc": 0.0})["shot"] == 2.0
    assert "adc" not in strengths({"full": 1.0, "adc": 0.0})
    # Half of all noise: converters have no halves, and stay.
    assert strengths({"full": 0.5})["adc"] == 1.0
    assert strengths({"full": 0.5})["shot"] == 0.5


def test_records_have_names_and_strengths_as_text() -> None:
    assert described("full") == "full"
    assert described(["shot", "adc"]) == ("adc", "shot")
    assert described({"shot": 2.0, "adc": 1.0}) == ("adc", "shot=2.0")
    one, other = (described({"detector_gain": np.full((2, 8), e)}) for e in (0.1, 0.2))
    assert one != other
    assert json.loads(json.dumps(one))[0].startswith("detector_gain=")


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        ({"shot": -1.0}, "'shot': strength -1.0; give a number from 0 on"),
        ({"shot": "much"}, "'shot': strength 'much'; give a number"),
        ({"adc": 2.0}, r"'adc': strength 2; it is on \(1\) or off \(0\): change converters.adc_b"),
        ({"shot": np.ones((2, 8))}, "'shot': no array is taken for it, only for 'detector_gain'"),
        ({"detector_gain": np.array([math.inf])}, "'detector_gain': the array holds what is no"),
        ({"detector_gain": np.ones(3)}, r"'detector_gain': 'gain' of shape \(3,\)"),
        ({"crosstalk": 9.0}, "'crosstalk': 9 times 0.25 is beyond bare heaters"),
        (3, "noise=3: give 'ideal', 'quantised', 'full', names of sources, or a mapping"),
    ],
)
def test_strengths_that_make_no_sense_are_named(noise: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Session(PhotonicMatrix(np.eye(8), MACHINE).program, noise)


def test_an_unknown_source_in_a_mapping_is_met_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'shott'; did you mean 'shot'"):
        strengths({"shott": 1.0})
