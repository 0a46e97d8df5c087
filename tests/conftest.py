"""What all tests share: hypothesis' settings and the folder of third-party assets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

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
