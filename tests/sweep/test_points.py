"""Points are compiled only where they must be, committed one by one, and never measured twice."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

import photonpu
from photonpu.errors import MachineError, ModelError, StorageError
from photonpu.hardware import Machine
from photonpu.program import Program
from photonpu.sweep.points import Work, run
from photonpu.sweep.store import Store
from photonpu.sweep.study import Outcome

BASE = Machine.preset("mzi64-eo")
GRID = tuple(
    {"mesh.ports": ports, "phase.error_rad": error} for error in (0.0, 0.01) for ports in (8, 16)
)


class Bench:
    """A compile and a measurement that only note what they were asked for."""

    def __init__(
        self, stop: BaseException | None = None, after: int = 0, dark: Exception | None = None
    ) -> None:
        self.compiled: list[int] = []
        self.measured: list[tuple[int, float]] = []
        self.stop, self.after, self.dark = stop, after, dark

    def work(self, **subject: object) -> Work:
        return Work(self.compile, self.measure, subject)

    def compile(self, machine: Machine) -> Program:
        self.compiled.append(machine.mesh.ports)
        return cast("Program", machine.mesh.ports)

    def measure(self, program: Program, machine: Machine) -> Outcome:
        assert cast("int", program) == machine.mesh.ports
        if self.stop is not None and len(self.measured) == self.after:
            raise self.stop
        if self.dark is not None and machine.mesh.ports == 16:
            raise self.dark
        self.measured.append((machine.mesh.ports, machine.phase.error_rad))
        return Outcome(latency_s=float(machine.mesh.ports), tiles=1)


def test_points_come_in_the_order_of_the_grid_and_compile_once_for_each_mesh() -> None:
    bench = Bench()
    with Store(None) as store:
        points = run(GRID, BASE, bench.work(), store, quiet=True)
    assert [dict(point.params) for point in points] == list(GRID)
    assert [point.outcome.latency_s for point in points] == [8.0, 16.0, 8.0, 16.0]
    assert bench.compiled == [8, 16]


def test_a_rerun_after_ctrl_c_measures_only_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    stopped = Bench(KeyboardInterrupt(), after=2)
    with pytest.raises(KeyboardInterrupt), Store(path) as store:
        run(GRID, BASE, stopped.work(), store, quiet=True)
    again, whole = Bench(), Bench()
    with Store(path) as store:
        points = run(GRID, BASE, again.work(), store, quiet=True)
    with Store(None) as store:
        fresh = run(GRID, BASE, whole.work(), store, quiet=True)
    assert len(stopped.measured) == 2
    assert sorted(stopped.measured + again.measured) == sorted(whole.measured)
    assert repr(points) == repr(fresh)  # NaN is not equal to itself, its text is


def test_a_third_run_neither_compiles_nor_measures(tmp_path: Path) -> None:
    for bench in (Bench(), Bench()):
        with Store(tmp_path / "s.sqlite") as store:
            run(GRID, BASE, bench.work(), store, quiet=True)
    assert bench.compiled == []
    assert bench.measured == []


@pytest.mark.parametrize("subject", [{"seed": 1}, {"chips": 4}, {"model": "other"}])
def test_whatever_affects_the_outcome_makes_another_point(subject: dict[str, Any]) -> None:
    bench = Bench()
    with Store(None) as store:
        one = run(GRID[:1], BASE, bench.work(seed=0), store, quiet=True)
        two = run(GRID[:1], BASE, bench.work(**subject), store, quiet=True)
    assert one[0].id != two[0].id
    assert len(bench.measured) == 2


def test_a_field_of_the_machine_that_is_not_varied_makes_another_point() -> None:
    bench = Bench()
    with Store(None) as store:
        run(GRID[:1], BASE, bench.work(), store, quiet=True)
        run(GRID[:1], BASE.override({"clock_ghz": 1.5}), bench.work(), store, quiet=True)
    assert len(bench.measured) == 2


def test_a_machine_that_cannot_be_used_is_a_point_with_an_error(tmp_path: Path) -> None:
    bench = Bench(dark=MachineError("no light is left"))
    with Store(tmp_path / "s.sqlite") as store:
        points = run(GRID, BASE, bench.work(), store, quiet=True)
        assert len(store) == 4
    assert [point.outcome.error for point in points] == [None, "no light is left"] * 2


def test_a_model_that_does_not_compile_fails_at_every_mesh_it_was_tried_on() -> None:
    def refuse(machine: Machine) -> Program:
        raise ModelError(f"too large for {machine.mesh.ports} ports")

    with Store(None) as store:
        points = run(GRID, BASE, Work(refuse, Bench().measure, {}), store, quiet=True)
    assert [point.outcome.error for point in points] == [
        "too large for 8 ports",
        "too large for 16 ports",
    ] * 2


def test_a_setting_that_the_machine_refuses_is_a_point_with_an_error() -> None:
    with Store(None) as store:
        points = run(({"mesh.ports": 1},), BASE, Bench().work(), store, quiet=True)
    assert "mesh.ports" in str(points[0].outcome.error)


def test_a_full_disk_ends_the_sweep() -> None:
    bench = Bench(StorageError("cannot write"))
    with Store(None) as store, pytest.raises(StorageError, match="cannot write"):
        run(GRID, BASE, bench.work(), store, quiet=True)


def test_a_bug_is_not_recorded_as_a_point() -> None:
    bench = Bench(ZeroDivisionError())
    with Store(None) as store:
        with pytest.raises(ZeroDivisionError):
            run(GRID, BASE, bench.work(), store, quiet=True)
        assert len(store) == 0


@pytest.mark.parametrize("first", ["photonpu.sweep.store", "photonpu.sweep", None])
def test_the_name_sweep_is_callable_however_it_was_imported(first: str | None) -> None:
    script = (
        (f"import {first}\n" if first else "")
        + "import photonpu\n"
        + "assert callable(photonpu.sweep)\n"
        + "photonpu.sweep\n"
        + "from photonpu.sweep import sweep\n"
        + "from photonpu.sweep.store import Store\n"
        + "import inspect\n"
        + "assert inspect.signature(photonpu.sweep) == inspect.signature(sweep)\n"
        + "assert inspect.getdoc(photonpu.sweep) == inspect.getdoc(sweep)\n"
        + "try: photonpu.sweep('m.onnx', 'mzi64-eo', {})\n"
        + "except photonpu.PhotonpuError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("nothing is varied")


def test_the_package_knows_its_own_public_name() -> None:
    assert callable(photonpu.sweep)
