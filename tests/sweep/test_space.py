"""The text of --vary becomes values that the machine has read, before anything runs."""

import itertools

import pytest

from photonpu.errors import MachineError, SweepError
from photonpu.hardware import Machine
from photonpu.sweep.space import grid, parse, settle


def test_values_of_a_key_are_split_at_commas() -> None:
    assert parse(["mesh.ports=16, 32", "mesh.topology=reck"]) == {
        "mesh.ports": ("16", "32"),
        "mesh.topology": ("reck",),
    }


def test_a_range_has_both_its_ends_and_even_steps() -> None:
    assert parse(["a=0.001:0.02:5"]) == {"a": (0.001, 0.00575, 0.0105, 0.01525, 0.02)}


def test_a_range_may_fall_and_stand_beside_single_values() -> None:
    assert parse(["a=1,3:2:3"]) == {"a": ("1", 3, 2.5, 2)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mesh.ports", "'mesh.ports' is no variation; write key=value,value"),
        ("=16", "'=16' is no variation"),
        ("mesh.ports=", "has an empty value; write mesh.ports=value,value"),
        ("mesh.ports=16,,32", "has an empty value"),
        ("a=1:2", "a=1:2: no range; write low:high:count"),
        ("a=1:2:x", "a=1:2:x: no range"),
        ("a=1:2:1", "a=1:2:1: a range has finite ends and 2 to"),
        ("a=0:inf:3", "a=0:inf:3: a range has finite ends"),
        ("a=0:1:1000000000", "a range has finite ends and 2 to 100000 values"),
    ],
)
def test_a_variation_that_does_not_read_says_how_it_should(text: str, message: str) -> None:
    with pytest.raises(SweepError, match=message):
        parse([text])


def test_a_key_that_comes_twice_is_refused() -> None:
    with pytest.raises(SweepError, match="'mesh.ports' is varied twice; list all its values"):
        parse(["mesh.ports=16", "mesh.ports=32"])


def test_values_are_read_by_the_type_of_their_field() -> None:
    space = {"mesh.ports": ("16", 32), "phase.error_rad": ("0.01",), "mesh.topology": ("reck",)}
    settled = settle(space, Machine.preset("mzi64-eo"))
    assert settled == {
        "mesh.ports": (16, 32),
        "phase.error_rad": (0.01,),
        "mesh.topology": ("reck",),
    }
    assert type(settled["mesh.ports"][0]) is int


def test_a_mistyped_key_names_the_nearest_one() -> None:
    with pytest.raises(MachineError, match=r"mesh\.prots.*did you mean 'mesh\.ports'"):
        settle({"mesh.prots": (16,)}, Machine.preset("mzi64-eo"))


def test_a_value_out_of_range_is_refused_before_anything_runs() -> None:
    with pytest.raises(MachineError, match=r"mesh\.ports"):
        settle({"phase.error_rad": (0.0,), "mesh.ports": (16, 1)}, Machine.preset("mzi64-eo"))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "nothing is varied; name a key of the machine"),
        ({"mesh.ports": ()}, "'mesh.ports' has no values"),
        ({"mesh.ports": "16"}, "mesh.ports='16': give a list of values"),
    ],
)
def test_a_space_without_points_is_refused(space: dict[str, tuple[int]], message: str) -> None:
    with pytest.raises(SweepError, match=message):
        settle(space, Machine.preset("mzi64-eo"))


def test_a_grid_too_large_is_refused() -> None:
    values = tuple(itertools.islice(itertools.cycle([2, 3]), 1000))
    with pytest.raises(SweepError, match="the grid has 1000000 points and at most 100000"):
        settle({"mesh.ports": values, "cores": values}, Machine.preset("mzi64-eo"))


def test_the_last_key_of_a_grid_varies_fastest() -> None:
    assert grid({"a": (1, 2), "b": ("x", "y")}) == (
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    )
