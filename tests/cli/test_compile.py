"""``photonpu compile`` and ``estimate``: a program file, and what it costs."""

from __future__ import annotations

import csv
import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from photonpu.program import Program

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


def test_a_model_becomes_a_program_file(
    photonpu: CommandLine, tiny: Path, squares: Path, tmp_path: Path
) -> None:
    samples = tmp_path / "samples.npz"
    np.savez(samples, image=np.load(squares)["image"])
    out = tmp_path / "tiny.ppu"
    told = photonpu.json(
        "compile", tiny, "-o", out, "--set", "mesh.ports=8", "--calibration", samples
    )
    program = Program.load(out)
    assert program.machine.mesh.ports == told["ports"] == 8
    # Nine taps do not fit eight ports: two tiles, each with one row.
    assert told["tiles"] == len(program.tiles) == 2
    assert told["macs"] == 9 * 8 * 8
    assert told["mac_share_on_mesh"] == 1.0
    assert told["parameters"] == 9
    assert [item["op"] for item in told["digital"]] == ["Sigmoid"]
    assert told["notes"] == []


def test_the_summary_names_layers_and_what_stays_digital(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    result = photonpu("compile", tiny, "-o", tmp_path / "tiny.ppu")
    assert "tiles of 64 ports 1, share of all MACs 100.0%" in result.stdout
    assert "digital operators: 1 (Sigmoid)" in result.stdout
    assert "note: converter ranges come from one sample" in result.stdout
    assert result.stderr == ""


def test_a_program_is_not_compiled_again(photonpu: CommandLine, tmp_path: Path) -> None:
    result = photonpu("compile", tmp_path / "old.ppu")
    assert result.exit_code == 2
    assert "is a program already" in result.stderr


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_program(
    photonpu: CommandLine,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    out = folder / "tiny.ppu"
    out.write_text("old")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    result = photonpu("compile", tiny, "-o", out)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: cannot write '{out}': No space left on device; free")
    assert result.stdout == ""
    assert out.read_text() == "old"
    assert list(folder.iterdir()) == [out]


def test_the_estimate_of_a_program_is_that_of_its_model(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.ppu"
    photonpu.json("compile", tiny, "-o", out)
    of_model = photonpu.json("estimate", tiny)
    of_program = photonpu.json("estimate", out)
    assert of_model == of_program
    assert of_model["latency_s"] > 0
    assert of_model["energy_j"] > 0


def test_the_estimate_shows_totals_components_and_layers(photonpu: CommandLine, tiny: Path) -> None:
    result = photonpu("estimate", tiny, "--batch", 4)
    assert "tiny on mzi64-eo, 4 samples" in result.stdout
    assert "laser" in result.stdout
    assert "conv" in result.stdout
    assert result.stderr == ""


def test_the_layers_of_an_estimate_can_be_had_as_csv(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "layers.csv"
    found = photonpu.json("estimate", tiny, "--csv", path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [layer["name"] for layer in found["layers"]]
    assert sum(float(row["energy_j"]) for row in rows) == pytest.approx(found["energy_j"])


def test_another_machine_may_run_a_program_of_the_same_mesh(
    photonpu: CommandLine, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.ppu"
    photonpu.json("compile", tiny, "-o", out)
    slow = photonpu.json("estimate", out, "--set", "clock_ghz=0.001")
    fast = photonpu.json("estimate", out)
    assert slow["latency_s"] > 100 * fast["latency_s"]


@pytest.mark.parametrize(
    ("setting", "what"),
    [("mesh.ports=32", "ports"), ("mesh.topology=reck", "topology"), ("cores=2", "cores")],
)
def test_a_program_refuses_a_machine_of_another_mesh(
    photonpu: CommandLine, tiny: Path, tmp_path: Path, setting: str, what: str
) -> None:
    out = tmp_path / "tiny.ppu"
    photonpu.json("compile", tiny, "-o", out)
    for verb in ("estimate", "simulate"):
        more = ["--data", "shipped"] if verb == "simulate" else []
        result = photonpu(verb, out, "--set", setting, *more)
        assert result.exit_code == 1
        assert f"error: program needs {what}" in result.stderr
        assert "compile it for this machine" in result.stderr


def test_a_missed_bound_has_its_own_exit_code(photonpu: CommandLine, tiny: Path) -> None:
    kept = photonpu("estimate", tiny, "--max-energy-mj", "1000", "--max-latency-ms", "1000")
    assert kept.exit_code == 0
    missed = photonpu("estimate", tiny, "--max-energy-mj", "0", "--max-latency-ms", "0")
    assert missed.exit_code == 4
    assert "tiny on mzi64-eo" in missed.stdout
    assert "bound missed: latency " in missed.stderr
    assert "mJ is above 0 mJ" in missed.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("-o", "{model}"), "--output: .* is what MODEL names too: choose another"),
        (("-o", "p.ppu", "--annotate", "{model}"), "--annotate: .* is what MODEL names too"),
        (("-o", "a.onnx", "--annotate", "./a.onnx"), "--annotate: .* is what --output names too"),
    ],
)
def test_nothing_is_written_over_the_model_or_over_one_another(
    photonpu: CommandLine,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tiny.parent)
    before = tiny.read_bytes()
    result = photonpu("compile", tiny, *(word.format(model=tiny.name) for word in given))
    assert result.exit_code == 2
    assert re.search(said, result.stderr)
    assert tiny.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "folder"], "cannot write 'folder': Is a directory"),
        (["-o", "missing/a.ppu"], "cannot write 'missing/a.ppu': No such file or directory"),
        (["--annotate", "missing/a.onnx"], "cannot write 'missing/a.onnx': No such file"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_model_is_read(
    photonpu: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    result = photonpu("compile", "missing.onnx", *words)
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_seed_below_zero_is_no_file(photonpu: CommandLine, tiny: Path, tmp_path: Path) -> None:
    result = photonpu("compile", tiny, "--chip=-3", "--output", tmp_path / "p.ppu")

    assert result.exit_code == 1
    assert "seed=-3" in result.stderr


def test_a_model_that_takes_more_memory_than_the_ceiling_is_refused(
    photonpu: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = photonpu("compile", "tumour-unet", "--memory", 5)

    assert result.exit_code == 1
    assert "memory_limit_mb=5: to compile this model takes about" in result.stderr
    assert list(tmp_path.iterdir()) == []
