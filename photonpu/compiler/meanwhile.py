"""Work that goes on beside other work, where there is more than one thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

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


class Task(Generic[T]):
    """A function that runs once, on the thread that takes it first.

    Parameters
    ----------
    run
        The function. It uses one thread, and no kernel that shares its threads with others.
    """

    def __init__(self, run: Callable[[], T]) -> None:
        self._run: Callable[[], T] | None = run
        self._taken = threading.Lock()
        self._found: Future[T] = Future()

    @property
    def done(self) -> bool:
        """Whether it has run."""
        return self._found.done()

    def take(self) -> bool:
        """Run it here, unless it is taken already; return whether it was not."""
        if not self._taken.acquire(blocking=False):
            return False
        run, self._run = self._run, None  # what it holds goes with it
        try:
            self._found.set_result(run())  # type: ignore[misc]
        except BaseException as error:
            self._found.set_exception(error)
        return True

    def result(self) -> T:
        """Return what the function gives, or raise what it raised."""
        self.take()
        return self._found.result()


class Aside(AbstractContextManager["Aside"]):
    """Threads for tasks that run beside some other work.

    With one thread nothing runs beside it. With more, one of them is ours: while it waits for a
    result it takes steps of the other work, and when there are none left, tasks.

    Attributes
    ----------
    workers
        How many tasks run at the same time, besides our own thread.
    """

    def __init__(self) -> None:
        import numba

        self._threads = numba.get_num_threads()
        self.workers = min(self._threads - 1, _WORKERS)
        self._pool = ThreadPoolExecutor(self.workers) if self.workers else None
        self._open: deque[Task[Any]] = deque()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def start(self, run: Callable[[], T]) -> Task[T]:
        """Let a function run when a thread is free, or when its result is asked for."""
        task = Task(run)
        if self._pool is not None:
            self._open.append(task)
            self._pool.submit(task.take)
        return task

    def result(self, task: Task[T], step: Callable[[], bool]) -> T:
        """Return what a task gives, and take steps of other work until it does.

        Parameters
        ----------
        task
            What `start` returned.
        step
            Does some other work; says whether there may be more.
        """
        while self._pool is not None and not task.done:
            if not self._stepped(step) and not any(other.take() for other in tuple(self._open)):
                break
        return task.result()

    def _stepped(self, step: Callable[[], bool]) -> bool:
        """Take a step with the threads that tasks leave free."""
        import numba

        while self._open and self._open[0].done:
            self._open.popleft()
        busy = sum(not task.done for task in tuple(self._open))
        numba.set_num_threads(max(1, self._threads - min(busy, self.workers)))
        try:
            return step()
        finally:
            numba.set_num_threads(self._threads)
