"""Work that goes on beside other work, where there is more than one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")

_WORKERS = 4  # that run at the same time at most: what they give is held in memory


def both(aside: Callable[[], S], here: Callable[[], T]) -> tuple[S, T]:
    """Return what two functions give; the first runs on a thread of its own, if there is one."""
    import numba

    if numba.get_num_threads() == 1:
        return aside(), here()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(aside)
        found = here()
        return running.result(), found


def ahead(run: Callable[[S], T], given: Iterable[S], step: Callable[[], bool]) -> Iterator[T]:
    """Yield what a function gives for each of some values, computed beside other work.

    With one thread nothing goes on beside it. With more, one of them is ours: what waits for a
    result takes steps, and the next results are computed while the last is used.

    Parameters
    ----------
    run
        The function. It uses one thread, and no kernel that shares its threads with others.
    given
        Its values.
    step
        Does some other work; says whether there may be more.
    """
    import numba

    threads = numba.get_num_threads()
    if threads == 1:
        yield from map(run, given)
        return
    values = iter(given)
    with ThreadPoolExecutor(min(threads - 1, _WORKERS)) as pool:
        running: deque[Future[T]] = deque()
        while True:
            missing = min(threads - 1, _WORKERS) - len(running)
            running.extend(pool.submit(run, value) for value in islice(values, missing))
            if not running:
                return
            numba.set_num_threads(max(1, threads - len(running)))
            try:
                while not running[0].done() and step():
                    pass
            finally:
                numba.set_num_threads(threads)
            yield running.popleft().result()
