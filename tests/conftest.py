"""What all tests share: hypothesis' settings and the folder of third-party assets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

Figure = Callable[[str, str, float, float], None]
"""Takes a law, a case, what was found and what was expected, for the table at the end."""

# The first call of a compiled kernel compiles it, so no test has a deadline.
settings.register_profile(
    "photonpu",
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.register_profile("ci", settings.get_profile("photonpu"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "photonpu")


@pytest.fixture(scope="session")
def assets() -> Path:
    """Return the folder of open models and data beside the checkout, or skip the test."""
    folder = ROOT.parent / "shared" / "assets"
    if not folder.is_dir():
        pytest.skip("assets missing")
    return folder


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that enters a figure into the table that `make validate` ends with."""

    def tell(law: str, case: str, found: float, expected: float) -> None:
        record_property("figure", [law, case, f"{found:.4g}", f"{expected:.4g}"])

    return tell


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the figures of all tests, where the slow ones were asked for."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    properties = [item for report in reports for item in getattr(report, "user_properties", [])]
    figures = sorted(value for name, value in properties if name == "figure")
    if figures and config.option.markexpr == "slow":
        from photonpu.tables import text_table

        terminalreporter.section("figures")
        header = ["law", "case", "found", "expected"]
        terminalreporter.write_line(text_table(header, figures, "llrr"))
