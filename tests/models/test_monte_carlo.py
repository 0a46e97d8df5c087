"""Evaluation over many chips: when it stops, how it goes on, and that no way changes a bit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.errors import DataError, InputError
from photonpu.models import evaluation
from photonpu.models.evaluation import evaluate
from photonpu.models.kept import KeptMasks, fingerprint
from photonpu.models.scores import half_width
from photonpu.models.segmenting import segment
from photonpu.program import Program
from photonpu.simulator import Session
from tests.models.test_evaluation import SMALL, data, model, program_of

NOISY = SMALL.override({"phase.error_rad": 0.5, "detector.tia_noise_pa_per_rthz": 300.0})
quickly = partial(evaluate, metrics=["dice"], machine=NOISY, baseline=False, quiet=True)


@pytest.fixture(scope="module")
def program() -> Program:
    return program_of(model())


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list of the chips that sessions are made for."""
    chips: list[object] = []
    begin = Session.__init__

    def note(self: Session, *arguments: object, **options: object) -> None:
        chips.append(arguments[2])
        begin(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "__init__", note)
    return chips


def test_half_the_width_of_an_interval_is_student_s() -> None:
    # s = sqrt(10 / 4) for 1 ... 5, t = 2.776 for 4 degrees of freedom: 2.776 * s / sqrt(5).
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert half_width(values) == pytest.approx(2.7764 * math.sqrt(2.5 / 5), rel=1e-4)
    assert half_width(np.append(values, math.nan)) == half_width(values)
    assert half_width(values[:1]) == math.inf


def test_chips_that_agree_stop_an_evaluation_at_the_fifth(program: Program) -> None:
    found = quickly(program, data(), chips=50, noise="input_dac", until_ci=0.01)
    assert found.chips == ("0", "1", "2", "3", "4")
    assert found.scores["noisy"]["dice"].values.shape == (5, 3)
    assert (
        "stopped after 5 of 50 chips: 95 % interval of the mean dice over chips +/- 0, "
        "asked for 0.01"
    ) in found.notes


def test_chips_that_differ_run_until_the_interval_is_narrow_enough(program: Program) -> None:
    whole = quickly(program, data(), chips=12)
    runs = whole.score("noisy").runs
    widths = [half_width(runs[:count]) for count in range(5, 13)]
    target = (widths[2] + widths[3]) / 2
    first = next((5 + i for i, width in enumerate(widths) if width <= target), 12)
    found = quickly(program, data(), chips=12, until_ci=target)
    assert len(found.chips) == first
    npt.assert_array_equal(found.score("noisy").runs, runs[:first])
    assert len(quickly(program, data(), chips=6, until_ci=1e-9).chips) == 6


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_an_interval_of_no_width_is_refused(program: Program, value: float) -> None:
    with pytest.raises(InputError, match=r"until_ci=.*: give half the width of an interval"):
        quickly(program, data(), until_ci=value)


def test_the_ideal_machine_can_be_left_out(program: Program, built: list[object]) -> None:
    found = quickly(program, data(), chips=2, ideal=False)
    assert list(found.scores) == ["noisy"]
    assert built == [0, 1]


def test_digital_segments_are_loaded_once(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    from photonpu.simulator import host

    begin = host.HostRunner.__init__

    def note(self: host.HostRunner, step: object, **options: object) -> None:
        loaded.append(step.name)  # type: ignore[attr-defined]
        begin(self, step, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(host.HostRunner, "__init__", note)
    quickly(program, data(), chips=4)
    assert loaded == ["digital/1"]


def test_what_is_kept_is_not_computed_again(
    program: Program, built: list[object], tmp_path: Path
) -> None:
    store = tmp_path / "runs.sqlite"
    fresh = quickly(program, data(), chips=4, keep_masks=True)
    quickly(program, data(), chips=2, store=store)
    built.clear()
    resumed = quickly(program, data(), chips=4, store=store, keep_masks=True)
    assert built == [2, 3]
    for mode in ("ideal", "noisy"):
        npt.assert_array_equal(resumed.masks[mode], fresh.masks[mode])
    # Another metric needs no run either, since masks are kept and not scores.
    built.clear()
    iou = evaluate(
        program, data(), ["iou"], 4, machine=NOISY, baseline=False, quiet=True, store=store
    )
    assert built == []
    assert iou.metrics == ("iou",)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"noise": "phase"},
        {"threshold": 0.4},
        {"sampling": "fast"},
        {"machine": NOISY.override({"phase.error_rad": 0.4})},
        {"chips": [7]},
    ],
)
def test_whatever_affects_a_run_makes_it_another(
    program: Program, built: list[object], tmp_path: Path, change: dict[str, Any]
) -> None:
    store = tmp_path / "runs.sqlite"
    same: dict[str, Any] = {"chips": [0], "ideal": False, "store": store}
    quickly(program, data(), **same)
    quickly(program, data(), **same)
    assert built == [0]
    quickly(program, data(), **{**same, **change})
    assert len(built) == 2


def test_after_ctrl_c_the_same_call_goes_on(
    program: Program, built: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "runs.sqlite"
    fresh = quickly(program, data(), chips=3)
    calls = iter(range(99))

    def press(*arguments: object) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return segment(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluation, "segment", press)
    with pytest.raises(KeyboardInterrupt):
        quickly(program, data(), chips=3, store=store)
    built.clear()
    found = quickly(program, data(), chips=3, store=store)
    assert built == [1, 2]
    npt.assert_array_equal(found.score("noisy").values, fresh.score("noisy").values)


def test_a_file_of_another_kind_is_no_store(program: Program, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(DataError, match="a database of another application; choose another file"):
        quickly(program, data(), store=other)
    text = tmp_path / "text.sqlite"
    text.write_text("no database, by any means" * 99)
    with pytest.raises(DataError, match="is no store of an evaluation, or is damaged"):
        quickly(program, data(), store=text)


@pytest.mark.parametrize("blob", [b"", b"\0\1", None])
def test_damaged_masks_are_named(tmp_path: Path, blob: bytes | None) -> None:
    path = tmp_path / "runs.sqlite"
    with KeptMasks(path) as kept:
        kept.put({"a": 1}, np.ones((2, 3, 3), np.bool_), 0.1)
        assert kept.get({"a": 2}, (2, 3, 3)) is None
        npt.assert_array_equal(kept.get({"a": 1}, (2, 3, 3)), np.ones((2, 3, 3), np.bool_))
        if blob is None:  # masks of another size
            with pytest.raises(DataError, match="run .* does not read"):
                kept.get({"a": 1}, (9, 3, 3))
            return
        kept.connection.execute("UPDATE runs SET masks = ?", (blob,))
        with pytest.raises(DataError, match="or is damaged .run .* does not read"):
            kept.get({"a": 1}, (2, 3, 3))


def test_a_fingerprint_tells_values_apart(program: Program) -> None:
    same = fingerprint(program.steps, program.tiles)
    assert same == fingerprint(program.steps, program.tiles)
    others = [("ab", "c"), ("a", "bc"), [1], [1.0], np.zeros(2), np.zeros((1, 2)), b"1", {"a": 1}]
    assert len({fingerprint(other) for other in others}) == len(others)


SCRIPT = """
import hashlib, sys
import numpy as np
from tests.models.test_evaluation import data, model, program_of
from tests.models.test_monte_carlo import quickly
import photonpu

batch, store = int(sys.argv[1]), sys.argv[2] or None
program = program_of(model())
images = data(9)
if store:
    quickly(program, images, chips=1, batch=batch, store=store)
found = quickly(program, images, chips=2, batch=batch, store=store, keep_masks=True)
digest = hashlib.sha256(found.masks["noisy"].tobytes())
session = photonpu.Session(program, chip=1)
for first in range(0, 9, batch):
    part = {"image": np.ascontiguousarray(images.images[first : first + batch])}
    digest.update(session.run(None, part, first=first)[0].tobytes())
print(digest.hexdigest())
"""


def test_threads_batches_processes_and_stops_change_no_bit(tmp_path: Path) -> None:
    found = set()
    for threads in (1, 2):
        for batch in (1, 7):
            for store in ("", str(tmp_path / f"{threads}-{batch}.sqlite")):
                names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
                done = subprocess.run(
                    [sys.executable, "-c", SCRIPT, str(batch), store],
                    env=os.environ | dict.fromkeys(names, str(threads)),
                    cwd=Path(__file__).parents[2],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                found.add(done.stdout.strip())
    assert len(found) == 1
    assert found != {hashlib.sha256(b"").hexdigest()}


def _rows(store: Path) -> int:
    """Return how many runs a store holds, while another process writes it."""
    if not store.is_file():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
        except sqlite3.OperationalError:  # the table is not there yet
            return 0


CHIPS = 24


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> partial[subprocess.Popen[str]]:
    """Return what starts an evaluation of many chips in a process of its own."""
    folder = tmp_path_factory.mktemp("signals")
    (folder / "half.onnx").write_bytes(model().SerializeToString())
    images = data(5)
    np.savez(folder / "data.npz", image=images.images, mask=images.masks.astype(np.uint8))
    return partial(
        subprocess.Popen,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


WORDS = [sys.executable, "-m", "photonpu", "simulate", "half.onnx", "--data", "data.npz"]
WORDS += ["--set", "mesh.ports=4", "--set", "cores=1", "--set", "phase.error_rad=0.5"]
WORDS += ["--metrics", "dice", "--no-ideal", "--trust", "--json", "--chips", str(CHIPS)]


@pytest.fixture(scope="module")
def uninterrupted(command: partial[subprocess.Popen[str]]) -> str:
    """Return what an evaluation that nothing stops writes."""
    written, _ = command(WORDS).communicate(timeout=300)
    return str(written)


@pytest.mark.parametrize("stop", ["SIGINT", "SIGKILL"])
def test_what_a_signal_stops_goes_on_to_the_same_scores(
    stop: str, command: partial[subprocess.Popen[str]], uninterrupted: str, tmp_path: Path
) -> None:
    store = tmp_path / "runs.sqlite"
    keeping = [*WORDS, "--store", str(store)]

    stopped = command(keeping)
    while _rows(store) < 3 and stopped.poll() is None:
        time.sleep(0.005)
    stopped.send_signal(signal.Signals[stop])
    _, told = stopped.communicate(timeout=60)
    kept = _rows(store)
    resumed, _ = command(keeping).communicate(timeout=300)

    assert 3 <= kept < CHIPS
    if stop == "SIGINT":
        assert stopped.returncode == 130
        assert f"finished chips are in '{store}': the same command goes on from there" in told
    same = hashlib.sha256(uninterrupted.encode()).hexdigest()
    assert hashlib.sha256(resumed.encode()).hexdigest() == same
    assert len(json.loads(uninterrupted)["chips"]) == CHIPS
