"""A study prints, and its CSV holds every number with its unit."""

import csv
import errno
import os
from pathlib import Path

import pytest

from photonpu.errors import StorageError
from photonpu.sweep.study import Interval, Outcome, Point, Study

STUDY = Study(
    ("mesh.ports",),
    ("dice",),
    (
        Point(
            "ab",
            {"mesh.ports": 16},
            Outcome({"dice": Interval(0.81, 0.75, 0.86)}, 1.25e-3, 2.5e-3, 2.0, 12.345, 40),
        ),
        Point("cd", {"mesh.ports": 512}, Outcome(error="no light is left")),
    ),
)


def test_the_table_has_a_line_for_each_point_and_errors_below() -> None:
    lines = STUDY.table().split("\n")
    assert " ".join(lines[0].split()) == "mesh.ports dice latency energy power area tiles"
    assert " ".join(lines[2].split()) == (
        "16 0.810 [0.750, 0.860] 1.25 ms 2.50 mJ 2.00 W 12.35 mm² 40"
    )
    assert lines[3].split() == ["512"] + 6 * ["failed"]
    assert lines[-1] == "mesh.ports=512: no light is left"


def test_the_csv_holds_all_numbers_with_units_in_the_header(tmp_path: Path) -> None:
    STUDY.to_csv(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        first, second = csv.DictReader(file)
    assert first == {
        "mesh.ports": "16",
        "dice": "0.81",
        "dice_low": "0.75",
        "dice_high": "0.86",
        "latency_s": "0.00125",
        "energy_j": "0.0025",
        "power_w": "2.0",
        "area_mm2": "12.345",
        "tiles": "40",
        "error": "",
    }
    assert second["dice"] == "nan"
    assert second["error"] == "no light is left"


def test_a_full_disk_leaves_the_old_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="cannot write '.*out.csv': No space left on device"):
        STUDY.to_csv(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_data_frame_has_the_columns_of_the_csv(tmp_path: Path) -> None:
    STUDY.to_csv(tmp_path / "out.csv")
    frame = STUDY.to_dataframe()
    assert ",".join(frame.columns) == (tmp_path / "out.csv").read_text().split("\n")[0]
    assert frame["energy_j"][0] == 2.5e-3


def test_the_plain_values_name_every_point() -> None:
    plain = STUDY.to_dict()
    assert plain["keys"] == ["mesh.ports"]
    points = plain["points"]
    assert isinstance(points, list)
    assert [point["id"] for point in points] == ["ab", "cd"]
    assert points[0]["dice_high"] == 0.86


def test_a_metric_with_a_unit_shows_it_in_every_header(tmp_path: Path) -> None:
    outcome = Outcome({"hd95": Interval(2.5, 1.0, 4.0)})
    study = Study(("cores",), ("hd95",), (Point("ab", {"cores": 1}, outcome),))
    assert "hd95 (mm)" in study.table()
    study.to_csv(tmp_path / "out.csv")
    header = (tmp_path / "out.csv").read_text().split("\n")[0]
    assert header.startswith("cores,hd95_mm,hd95_mm_low,hd95_mm_high,latency_s")
