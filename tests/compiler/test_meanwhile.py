"""What goes on beside other work changes nothing but the time that it takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numba
import pytest
from onnx import helper

import photonpu
from photonpu.compiler.meanwhile import ahead, both
from photonpu.hardware import Machine
from tests.compiler.networks import network, numbers


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Have so many threads, where the machine has them."""
    before = numba.get_num_threads()
    chosen = min(request.param, before)
    numba.set_num_threads(chosen)
    yield chosen
    numba.set_num_threads(before)


def test_results_come_in_the_order_of_their_values(threads: int) -> None:
    assert list(ahead(lambda value: 2 * value, range(9), lambda: False)) == list(range(0, 18, 2))
    assert numba.get_num_threads() == threads


def test_steps_are_taken_while_a_result_is_waited_for() -> None:
    if numba.get_num_threads() == 1:
        pytest.skip("one thread does one thing")
    taken = threading.Event()

    def step() -> bool:
        taken.set()
        return True

    assert list(ahead(lambda value: taken.wait(60), [0], step)) == [True]


@pytest.mark.parametrize("threads", [1], indirect=True)
def test_one_thread_takes_no_steps(threads: int) -> None:
    assert threads == 1
    assert list(ahead(str, [1, 2], lambda: pytest.fail("a step"))) == ["1", "2"]


def test_an_error_of_either_side_is_handed_on(threads: int) -> None:
    def wrong(value: object = None) -> int:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        list(ahead(wrong, [1], lambda: False))
    for pair in ((wrong, int), (int, wrong)):
        with pytest.raises(ValueError, match="wrong"):
            both(*pair)
    assert numba.get_num_threads() == threads


def test_both_give_what_each_gives(threads: int) -> None:
    assert both(lambda: 1, lambda: "two") == (1, "two")


def test_programs_are_the_same_for_any_number_of_threads(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["y"], pads=[1, 1, 1, 1]),
    ]
    weights = {"w": numbers(24, 3, 3, 3), "v": numbers(40, 24, 3, 3)}
    model = network(nodes, {"x": ("N", 3, 20, 20)}, {"y": 4}, weights)
    machine = Machine.preset("ideal").override({"mesh.ports": 8})
    before, files = numba.get_num_threads(), []
    for count in (1, before):
        numba.set_num_threads(count)
        try:
            program = photonpu.compile(model, machine, calibration=numbers(5, 3, 20, 20))
        finally:
            numba.set_num_threads(before)
        program.save(tmp_path / "it.ppu")
        files.append((tmp_path / "it.ppu").read_bytes())
    assert files[0] == files[1]
