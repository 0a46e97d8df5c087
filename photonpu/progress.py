"""How far a long run has come, told on stderr: a bar on a terminal, now and then a line elsewhere.

Data never goes through here: stdout stays free for results.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TextIO

SECONDS_BETWEEN_LINES = 10.0

Step = Callable[[int], None]


def progress(
    task: str, total: int | None = None, *, quiet: bool = False
) -> AbstractContextManager[Step]:
    """Tell on stderr how far a task has come.

    A terminal shows a bar, which goes when the task ends, however it ends. Any other stderr gets
    a plain line at most every 10 s, so a short run writes nothing to a log.

    Parameters
    ----------
    task
        What is being done, as the reader sees it: ``"simulate"``.
    total
        How many units of work there are; None if nobody knows.
    quiet
        Say nothing at all.

    Returns
    -------
    context manager
        Entering it gives a function; call it with the units of work just done.

    Examples
    --------
    >>> with progress("simulate", total=3, quiet=True) as step:
    ...     for _ in range(3):
    ...         step(1)
    """
    stream = sys.stderr
    if quiet or stream is None:
        return nullcontext(_say_nothing)
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return _bar(task, total, stream)
    return _lines(task, total, stream)


def _say_nothing(count: int) -> None:
    """Take the place of a step where nothing is to be told."""


@contextmanager
def _bar(task: str, total: int | None, stream: TextIO) -> Iterator[Step]:
    """Draw a bar that rich removes at the end, also after Ctrl-C, giving the cursor back."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        # Names inside a task come from files: they are shown, never read as markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        drawn = bar.add_task(task, total=total)
        yield lambda count: bar.advance(drawn, count)


@contextmanager
def _lines(task: str, total: int | None, stream: TextIO) -> Iterator[Step]:
    """Write a line whenever 10 s have passed since the last one."""
    begin = told = time.monotonic()
    done = 0

    def step(count: int) -> None:
        nonlocal done, told
        done += count
        now = time.monotonic()
        if now - told >= SECONDS_BETWEEN_LINES:
            told = now
            share = f" of {total} ({100 * done / total:.0f} %)" if total else ""
            print(f"{task}: {done}{share}, {now - begin:.0f} s", file=stream, flush=True)

    yield step
