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
from photonpu.simulator.strengths import described, scaled, strengths

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


def test_a_source_of_one_s_own_moves_the_phases_of_a_chip(table: None) -> None:
    # Two ports, an identity: a quarter turn on both outputs leaves nothing in phase.
    @noise_source("turned", equation="psi += pi / 2", source="a bench", place="chip")
    def turned(machine: Machine, chip: Chip) -> dict[str, Any]:
        return {"psi_error": np.full(chip.psi_error.shape, [[0.0], [np.pi / 2]])}

    exact = PhotonicMatrix(np.eye(8), MACHINE, noise="ideal") @ np.eye(8)
    half = PhotonicMatrix(np.eye(8), MACHINE, noise={"turned": 2 / 3}) @ np.eye(8)
    none = PhotonicMatrix(np.eye(8), MACHINE, noise={"turned": 1.0}) @ np.eye(8)

    np.testing.assert_allclose(half, 0.5 * exact, atol=1e-6)
    np.testing.assert_allclose(none, 0.0, atol=1e-6)
    assert "turned" in strengths("full")


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"psi_eror": 1.0}, "'odd': nothing can be added to 'psi_eror'; did you mean 'psi_error'"),
        ({"mzi_loss_db": 1.0}, "'odd': nothing can be added to 'mzi_loss_db'"),
        ({"psi_error": np.ones(3)}, r"'odd': 'psi_error' of shape \(3,\): give \(2, 2, 8\)"),
        ({"psi_error": np.full((2, 2, 8), np.nan)}, "'odd': 'psi_error' is not finite"),
    ],
)
def test_what_a_source_adds_to_no_array_is_named(
    table: None, added: dict[str, Any], message: str
) -> None:
    noise_source("odd", equation="", source="", place="chip")(lambda machine, chip: added)

    with pytest.raises(InputError, match=message):
        PhotonicMatrix(np.eye(8), MACHINE, noise="odd")


def test_a_strength_that_would_make_an_arm_amplify_stops_where_it_loses_nothing() -> None:
    machine = MACHINE.override({"mesh.mzi_imbalance_db": 0.1})
    chip = Chip.draw(machine, 0)

    _, found, _ = scaled(machine, chip, {"imbalance": 1000.0})

    np.testing.assert_array_equal(found.mzi_imbalance_db, 2.0 * chip.mzi_loss_db)
    np.testing.assert_array_equal(found.attenuator_imbalance_db, 2.0 * chip.attenuator_loss_db)


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


@pytest.mark.parametrize(
    ("place", "message"),
    [("sample", "returned int; an Effect is needed"), ("chip", "returned int; a mapping from")],
)
def test_a_source_that_gives_something_else_is_named(table: None, place: Any, message: str) -> None:
    noise_source("odd", equation="", source="", place=place)(lambda machine, chip: 3)

    with pytest.raises(InputError, match=f"noise source 'odd': its function {message}"):
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
        ({"shot": -1.0}, r"'shot': strength -1.0; give a number from 0 to 1e\+06, 1 for what the"),
        ({"splitter": 1e30}, "'splitter': strength 1e\\+30; give a number from 0 to"),
        ({"drift": math.nan}, "'drift': strength nan; give a number from 0 to"),
        ({"heater": math.inf}, "'heater': strength inf; give a number from 0 to"),
        ({"correlated": 0.5}, r"'correlated': strength 0.5; it is on \(1\) or off \(0\)"),
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
