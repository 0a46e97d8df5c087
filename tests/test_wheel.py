"""The built wheel holds the package, all of it and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = (".py", ".toml", ".typed", ".onnx", ".npz", ".json", ".md")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from a copy of the sources, links and all."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(
        ROOT / "photonpu", source / "photonpu", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("compiler", "simulator", "models"):
        (source / name).symlink_to(Path("photonpu") / name)
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("photonpu-*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_file_of_the_source_tree(wheel: zipfile.ZipFile) -> None:
    source = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "photonpu").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert shipped == source


def test_nothing_of_an_unknown_kind_is_shipped(wheel: zipfile.ZipFile) -> None:
    files = [name for name in wheel.namelist() if name.startswith("photonpu/")]
    assert [name for name in files if not name.endswith(SHIPPED)] == []


def test_the_wheel_stays_small(wheel: zipfile.ZipFile) -> None:
    assert sum(entry.compress_size for entry in wheel.infolist()) < 10_000_000


def test_the_wheel_carries_its_licence_and_its_command(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "photonpu = photonpu.cli:main" in wheel.read(entry_points).decode()
