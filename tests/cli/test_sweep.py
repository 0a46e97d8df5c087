"""``photonpu sweep``: a grid of machines, resumed where it stopped."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import photonpu.models.evaluation as evaluation
from photonpu.sweep.store import Store

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine

VARY = ("--vary", "mesh.ports=4,8", "--vary", "phase.error_rad=0:0.02:2")


def test_every_machine_of_the_grid_is_a_point(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    table = tmp_path / "out.csv"
    store = tmp_path / "s.sqlite"
    study = photonpu.json("sweep", tiny, *VARY, "--store", store, "--csv", table)
    settings = [(point["mesh.ports"], point["phase.error_rad"]) for point in study["points"]]
    assert settings == [(4, 0.0), (4, 0.02), (8, 0.0), (8, 0.02)]
    # Nine taps are three tiles of four ports, and two of eight.
    assert [point["tiles"] for point in study["points"]] == [3, 3, 2, 2]
    assert all(point["energy_j"] > 0 for point in study["points"])
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["energy_j"]) for row in rows] == [
        point["energy_j"] for point in study["points"]
    ]
    with Store(store) as opened:
        assert len(opened) == 4


def test_a_sweep_of_costs_does_not_warn_of_ranges(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    result = photonpu("sweep", tiny, "--vary", "cores=1,2", "--store", tmp_path / "s.sqlite")
    assert result.stderr == ""
    assert result.stdout.split("\n")[0].split()[:2] == ["cores", "latency"]


def test_a_sweep_stopped_by_ctrl_c_goes_on_where_it_stopped(
    photonpu: CommandLine,
    tiny: Path,
    squares: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("sweep", tiny, *VARY, "--data", squares, "--chips", "1")
    original = evaluation.evaluate
    calls: list[object] = []

    def stop_at_third(*arguments: Any, **options: Any) -> object:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(arguments)
        return original(*arguments, **options)

    def counting(*arguments: Any, **options: Any) -> object:
        calls.append(arguments)
        return original(*arguments, **options)

    store = tmp_path / "s.sqlite"
    monkeypatch.setattr(evaluation, "evaluate", stop_at_third)
    stopped = photonpu(*words, "--store", store)
    assert stopped.exit_code == 130
    assert stopped.stdout == ""
    assert stopped.stderr == (
        f"interrupted; finished points are in '{store}': the same command goes on from there\n"
    )
    monkeypatch.setattr(evaluation, "evaluate", counting)
    resumed = photonpu.json(*words, "--store", store)
    assert len(calls) == 4
    monkeypatch.setattr(evaluation, "evaluate", original)
    assert resumed == photonpu.json(*words, "--store", tmp_path / "fresh.sqlite")


def test_the_machine_without_errors_finds_every_square(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path
) -> None:
    study = photonpu.json(
        "sweep",
        tiny,
        *("--machine", "ideal", "--vary", "mesh.ports=4,8"),
        *("--data", squares, "--chips", 1, "--store", tmp_path / "s.sqlite"),
    )
    assert study["metrics"] == ["dice"]
    assert [point["dice"] for point in study["points"]] == [1.0, 1.0]


def test_a_mistyped_key_is_refused_before_anything_runs(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    store = tmp_path / "s.sqlite"
    result = photonpu("sweep", tiny, "--vary", "mesh.prots=4,8", "--store", store)
    assert result.exit_code == 1
    assert "did you mean 'mesh.ports'?" in result.stderr
    assert not store.exists()


def test_a_mistyped_metric_is_refused_before_anything_runs(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path
) -> None:
    store = tmp_path / "s.sqlite"
    words = ("--vary", "cores=1", "--data", squares, "--metrics", "dize", "--store", store)
    result = photonpu("sweep", tiny, *words)
    assert result.exit_code == 1
    assert "no metric is called 'dize'; did you mean 'dice'?" in result.stderr
    assert not store.exists()


def test_a_file_that_is_no_store_is_left_alone(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    store = tmp_path / "notes.txt"
    store.write_text("my notes\n" * 100)
    result = photonpu("sweep", tiny, "--vary", "cores=1", "--store", store)
    assert result.exit_code == 1
    assert f"error: '{store}' is no store of a sweep" in result.stderr
    assert store.read_text() == "my notes\n" * 100


def test_a_program_cannot_be_swept(photonpu: CommandLine, tmp_path: Path) -> None:
    result = photonpu("sweep", tmp_path / "x.ppu", "--vary", "cores=1")
    assert result.exit_code == 2
    assert "give the .onnx file" in result.stderr


def test_a_sweep_without_a_key_is_wrong_usage(photonpu: CommandLine, tiny: Path) -> None:
    assert photonpu("sweep", tiny).exit_code == 2


@pytest.mark.parametrize(("method", "programs"), [("max", 1), ("percentile:99", 1), ("mse", 2)])
def test_ranges_of_the_least_error_are_made_anew_for_other_bits(
    photonpu: CommandLine,
    tiny: Path,
    squares: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    programs: int,
) -> None:
    import photonpu.compiler as compiler

    ranges: list[float] = []
    original = compiler.compile

    def note(*arguments: Any, **options: Any) -> Any:
        program = original(*arguments, **options)
        ranges.append(float(program.tiles.adc_range[0]))
        return program

    monkeypatch.setattr(compiler, "compile", note)
    words = ("sweep", tiny, "--data", squares, "--chips", 1, "--vary", "converters.adc_bits=3,8")
    rule = ("--calibration-method", method)

    study = photonpu.json(*words, *rule, "--store", tmp_path / "s.sqlite", "--memory", 50)

    assert len(study["points"]) == 2
    assert len(set(ranges)) == len(ranges) == programs


def test_points_of_another_rule_are_other_points(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path
) -> None:
    words = ("sweep", tiny, "--data", squares, "--chips", 1, "--vary", "cores=1")
    store = tmp_path / "s.sqlite"

    for rule in ((), ("--calibration-method", "max"), ("--calibration-per", "row")):
        photonpu.json(*words, *rule, "--store", store)

    with Store(store) as opened:
        assert len(opened) == 2
