"""``photonpu demo``: from an empty folder to numbers and pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from photonpu.program import Program

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


@pytest.mark.slow
def test_the_demo_writes_program_numbers_table_and_picture(
    photonpu: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = photonpu("demo", "--quiet")
    assert result.exit_code == 0
    out = tmp_path / "photonpu-demo"
    assert {path.name for path in out.iterdir()} == {
        "masks.png",
        "results.json",
        "sweep.csv",
        "sweep.sqlite",
        "tumour-unet.ppu",
    }
    found = json.loads((out / "results.json").read_text())
    scores = {mode: found["evaluation"]["scores"][mode]["dice"] for mode in ("float", "noisy")}
    assert scores["float"]["mean"] >= 0.8
    assert len(scores["noisy"]["runs"]) == 3
    assert len(found["sweep"]["points"]) == 3
    assert found["program"]["mac_share_on_mesh"] == 1.0
    assert len(Program.load(out / "tumour-unet.ppu").tiles) == found["program"]["tiles"]
    with Image.open(out / "masks.png") as picture:
        assert picture.width > 4 * 256
    assert "no medical device" in result.stdout
    assert "synthetic" in result.stdout


def test_a_folder_that_cannot_be_made_says_so(photonpu: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = photonpu("demo", "--out", tmp_path / "file" / "demo")
    assert result.exit_code == 1
    assert "error: cannot make folder" in result.stderr
