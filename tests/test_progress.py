"""Progress is told on stderr, rarely where it is not a terminal, and never on stdout."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest

from photonpu.progress import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give a clock that goes only when it is told to."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_pipe_gets_one_line_in_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("simulate", total=40) as step:
        for _ in range(25):
            clock[0] += 1.0
            step(1)
    assert stream.getvalue() == "simulate: 10 of 40 (25 %), 10 s\nsimulate: 20 of 40 (50 %), 20 s\n"


def test_without_a_total_only_the_count_is_told(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("sweep") as step:
        clock[0] += 12.0
        step(3)
    assert stream.getvalue() == "sweep: 3, 12 s\n"


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("simulate", total=2, quiet=True) as step:
        clock[0] += 60.0
        step(2)
    assert stream.getvalue() == ""


def test_a_process_without_stderr_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with progress("simulate", total=1) as step:
        step(1)


def test_a_terminal_gets_a_bar_with_the_name_and_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("[bold]odd[/bold] name", total=3) as step:
        step(3)
    assert "[bold]odd[/bold] name" in stream.getvalue()
    assert "3/3" in stream.getvalue()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_cursor_comes_back_however_the_task_ends(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(error), progress("simulate", total=3) as step:
        step(1)
        raise error
    hide, show = "\x1b[?25l", "\x1b[?25h"
    assert hide in stream.getvalue()
    assert stream.getvalue().rindex(show) > stream.getvalue().rindex(hide)


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = Terminal()
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("simulate", total=4) as step:
        clock[0] += 10.0
        step(1)
    assert stream.getvalue() == "simulate: 1 of 4 (25 %), 10 s\n"


def test_importing_progress_loads_nothing_heavy() -> None:
    code = "import sys, photonpu.progress; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert done.stderr == ""
