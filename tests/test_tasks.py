"""Tests of tasks that threads take as they come."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from photonpu.jit import jit
from photonpu.tasks import take


@jit(parallel=True)
def _taken(tasks: int, counter: np.ndarray, times: np.ndarray) -> None:
    for _ in numba.prange(tasks):
        task = take(counter)
        while task < tasks:
            times[task] += 1
            task = take(counter)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tasks", [0, 1, 2, 1000])
def test_each_task_is_taken_once_by_whatever_threads(threads: int, tasks: int) -> None:
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        for _ in range(20):
            times = np.zeros(tasks, np.int64)
            _taken(tasks, np.zeros(1, np.int64), times)
            np.testing.assert_array_equal(times, 1)
    finally:
        numba.set_num_threads(before)


def test_a_counter_gives_what_it_held_and_counts_up() -> None:
    @jit()
    def twice(counter: np.ndarray) -> tuple[int, int]:
        return take(counter), take(counter)

    counter = np.array([41], np.int64)

    assert twice(counter) == (41, 42)
    assert counter[0] == 43
