"""What a sweep found: one point for each machine, as values that print, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from photonpu.models.metrics import UNITS
from photonpu.storage import atomic_write
from photonpu.tables import engineering, text_table

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over cases, and the ends of its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found at one point; numbers are NaN where `error` says why there are none.

    Attributes
    ----------
    metrics
        For each metric, its mean under noise with its interval; empty without a dataset.
    latency_s, energy_j, power_w, area_mm2
        The estimate for one sample.
    tiles
        Tiles of the compiled program.
    error
        Why this machine cannot be built or used, or None.
    """

    metrics: Mapping[str, Interval] = field(default_factory=dict)
    latency_s: float = NAN
    energy_j: float = NAN
    power_w: float = NAN
    area_mm2: float = NAN
    tiles: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One machine of a sweep: what was set on it, and what came out.

    Attributes
    ----------
    id
        Hash of all that affects the outcome.
    params
        Value of each varied key.
    outcome
        What was found.
    """

    id: str
    params: Mapping[str, object]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Study:
    """All points of a sweep, in the order of the grid.

    Attributes
    ----------
    keys
        The varied keys of the machine.
    metrics
        Names of the metrics; empty without a dataset.
    points
        One for each machine.
    """

    keys: tuple[str, ...]
    metrics: tuple[str, ...]
    points: tuple[Point, ...]

    def table(self) -> str:
        """Return the points as aligned text, with errors written out below."""
        titles = (f"{name} ({UNITS[name]})" if UNITS.get(name) else name for name in self.metrics)
        header = [*self.keys, *titles, "latency", "energy", "power", "area", "tiles"]
        rows = [self._cells(point) for point in self.points]
        text = text_table(header, rows, "r" * len(header))
        errors = [
            f"{_setting(point)}: {point.outcome.error}"
            for point in self.points
            if point.outcome.error is not None
        ]
        return "\n".join([text, *(["", *errors] if errors else [])])

    def _cells(self, point: Point) -> list[str]:
        found = point.outcome
        values = [str(point.params[key]) for key in self.keys]
        if found.error is not None:
            return [*values, *("failed" for _ in range(len(self.metrics) + 5))]
        intervals = (found.metrics[name] for name in self.metrics)
        return [
            *values,
            *(f"{item.mean:.3f} [{item.low:.3f}, {item.high:.3f}]" for item in intervals),
            engineering(found.latency_s, "s"),
            engineering(found.energy_j, "J"),
            engineering(found.power_w, "W"),
            f"{found.area_mm2:.4g} mm²",
            str(found.tiles),
        ]

    def to_dict(self) -> dict[str, object]:
        """Return the study as plain values; units stand in the names."""
        return {
            "keys": list(self.keys),
            "metrics": list(self.metrics),
            "points": [{"id": point.id, **self._record(point)} for point in self.points],
        }

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row a point, with the columns of the CSV."""
        import pandas as pd

        records = [self._record(point) for point in self.points]
        return pd.DataFrame(records, columns=self._columns())

    def to_csv(self, path: str | Path) -> None:
        """Write one row a point; units stand in the header.

        Raises
        ------
        StorageError
            The file cannot be written; a file of that name is as it was before.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._record(point) for point in self.points)

        def write(file: BinaryIO) -> None:
            file.write(text.getvalue().encode())

        atomic_write(path, write)

    def _columns(self) -> list[str]:
        names = map(_column, self.metrics)
        bounds = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
        costs = ["latency_s", "energy_j", "power_w", "area_mm2", "tiles", "error"]
        return [*self.keys, *bounds, *costs]

    def _record(self, point: Point) -> dict[str, object]:
        found = point.outcome
        record = dict(point.params)
        for name in self.metrics:
            item = found.metrics.get(name, Interval(NAN, NAN, NAN))
            column = _column(name)
            record |= {
                column: item.mean,
                f"{column}_low": item.low,
                f"{column}_high": item.high,
            }
        return record | {
            "latency_s": found.latency_s,
            "energy_j": found.energy_j,
            "power_w": found.power_w,
            "area_mm2": found.area_mm2,
            "tiles": found.tiles,
            "error": found.error,
        }


def _column(metric: str) -> str:
    """Return a metric's name in a header, its unit at the end."""
    return f"{metric}_{UNITS[metric]}" if UNITS.get(metric) else metric


def _setting(point: Point) -> str:
    return ", ".join(f"{key}={value}" for key, value in point.params.items())
