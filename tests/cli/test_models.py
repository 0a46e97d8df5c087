"""``photonpu models``: the zoo is listed, and any of it can be had as a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from photonpu.models.zoo import MODELS, model_path

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


def test_the_list_names_every_model(photonpu: CommandLine) -> None:
    listed = photonpu.json("models")
    assert [item["name"] for item in listed] == list(MODELS)
    assert all(name in photonpu("models").stdout for name in MODELS)


def test_the_path_of_a_shipped_model_is_shown(photonpu: CommandLine) -> None:
    result = photonpu("models", "path", "tumour-unet")
    assert result.stdout == f"{model_path('tumour-unet')}\n"


def test_a_model_that_is_built_has_no_path(photonpu: CommandLine) -> None:
    result = photonpu("models", "path", "buda-unet")
    assert result.exit_code == 1
    assert "error: model 'buda-unet' has no file" in result.stderr


def test_an_exported_model_is_onnx(photonpu: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "unet.onnx"
    written = photonpu.json("models", "export", "tumour-unet", path)
    assert written["bytes"] == path.stat().st_size
    onnx.checker.check_model(onnx.load(path))


def test_a_full_disk_leaves_the_old_file(
    photonpu: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "unet.onnx"
    path.write_text("old")

    def full(*names: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    result = photonpu("models", "export", "tumour-unet", path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: cannot write '{path}': No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_model_names_the_nearest(photonpu: CommandLine) -> None:
    result = photonpu("models", "path", "tumor-unet")
    assert result.exit_code == 1
    assert "no model is called 'tumor-unet'; did you mean 'tumour-unet'?" in result.stderr
