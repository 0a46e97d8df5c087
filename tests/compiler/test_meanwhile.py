"""What goes on beside other work changes nothing but the time that it takes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numba
import numpy as np
import pytest
from onnx import helper

import photonpu
from photonpu.compiler.meanwhile import Aside, Task, both
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


def test_each_task_gives_its_result_whoever_runs_it(threads: int) -> None:
    with Aside() as aside:
        tasks = [aside.start(partial(int, str(value))) for value in range(9)]
        assert [aside.result(task, lambda: False) for task in tasks] == list(range(9))
    assert numba.get_num_threads() == threads


def test_a_task_may_start_others_and_wait_for_those_before_it(threads: int) -> None:
    with Aside() as aside:
        first = aside.start(lambda: 1)
        second = aside.start(lambda: [first.result(), aside.start(lambda: 2)])
        one, two = aside.result(second, lambda: False)
        assert (one, aside.result(two, lambda: False)) == (1, 2)  # type: ignore[arg-type]


def test_steps_are_taken_while_a_result_is_waited_for() -> None:
    if numba.get_num_threads() == 1:
        pytest.skip("one thread does one thing")
    taken = threading.Event()

    def step() -> bool:
        taken.set()
        return True

    with Aside() as aside:
        assert aside.result(aside.start(lambda: taken.wait(60)), step)


@pytest.mark.parametrize("threads", [1], indirect=True)
def test_one_thread_takes_no_steps_and_starts_a_task_when_it_is_asked_for(threads: int) -> None:
    assert threads == 1
    ran: list[int] = []
    with Aside() as aside:
        tasks = [aside.start(partial(ran.append, value)) for value in range(2)]
        assert not ran
        aside.result(tasks[1], lambda: pytest.fail("a step"))
    assert ran == [1]


def test_a_task_runs_once_and_lets_go_of_what_it_held() -> None:
    held = np.zeros(3)
    task = Task(held.sum)
    gone = weakref.ref(held)
    del held

    assert (task.take(), task.take()) == (True, False)
    assert task.result() == 0.0
    assert gone() is None


def test_an_error_of_either_side_is_handed_on(threads: int) -> None:
    def wrong() -> int:
        raise ValueError("wrong")

    with Aside() as aside, pytest.raises(ValueError, match="wrong"):
        aside.result(aside.start(wrong), lambda: False)
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
