"""Correction of a chip's output channels: what it is by hand, and what it buys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

import photonpu
from photonpu.errors import InputError, ProgramError
from photonpu.hardware import Machine
from photonpu.program import Program
from photonpu.simulator import PhotonicMatrix, Session

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 8, "cores": 1})
X = np.random.default_rng(4).uniform(-1, 1, (400, 5)).astype(np.float32)


def program() -> Program:
    weight = np.random.default_rng(3).standard_normal((6, 5))
    return PhotonicMatrix(weight, MACHINE).program


def with_correction(correction: np.ndarray) -> Program:
    made = program()
    (step,) = made.photonic_steps
    return replace(made, steps=(replace(step, correction=correction.astype(np.float32)),))


def test_a_correction_scales_and_shifts_each_channel() -> None:
    rows = np.array([[1, 2, 3, 4, 5, 6], [0, 1, 0, -1, 0, 0.5]])
    (plain,) = Session(program(), "ideal").run(None, {"x": X})
    (y,) = Session(with_correction(rows), "ideal").run(None, {"x": X})
    npt.assert_allclose(y, plain * rows[0] + rows[1], rtol=1e-6, atol=1e-6)


def test_a_chip_without_errors_needs_no_correction() -> None:
    (step,) = photonpu.calibrate_on_chip(program(), 0, {"x": X}, noise="ideal").photonic_steps
    assert step.correction is not None
    npt.assert_allclose(step.correction, [[1.0] * 6, [0.0] * 6], atol=1e-6)


def test_the_fit_undoes_the_line_of_least_squares() -> None:
    noisy = MACHINE.override({"phase.error_rad": 0.1})
    made = program()
    (exact,) = Session(made, "ideal").run(None, {"x": X})
    (y,) = Session(made, "phase", 3, machine=noisy).run(None, {"x": X})
    fitted = photonpu.calibrate_on_chip(made, 3, {"x": X}, noise="phase", machine=noisy)
    (step,) = fitted.photonic_steps
    assert step.correction is not None
    for channel in range(6):
        scale, _ = np.polyfit(exact[:, channel], y[:, channel], 1)
        expected = [1 / scale, exact[:, channel].mean() - y[:, channel].mean() / scale]
        npt.assert_allclose(step.correction[:, channel], expected, rtol=1e-3, atol=1e-4)
    (after,) = Session(fitted, "phase", 3, machine=noisy).run(None, {"x": X})
    for channel in range(6):
        line = np.polyfit(exact[:, channel], after[:, channel], 1)
        npt.assert_allclose(line, [1.0, 0.0], atol=2e-2)
    # A second calibration begins anew.
    again = photonpu.calibrate_on_chip(fitted, 3, {"x": X}, noise="phase", machine=noisy)
    assert again.photonic_steps[0].correction is not None
    npt.assert_array_equal(again.photonic_steps[0].correction, step.correction)


def test_a_corrected_program_is_saved_and_read(tmp_path: Path) -> None:
    fitted = photonpu.calibrate_on_chip(program(), 1, {"x": X})
    fitted.save(tmp_path / "p.ppu")
    back = photonpu.Program.load(tmp_path / "p.ppu")
    (one,) = Session(fitted, "full", 1).run(None, {"x": X})
    (other,) = Session(back, "full", 1).run(None, {"x": X})
    npt.assert_array_equal(one, other)
    assert "fitted on chip" in back.notes[-1]
    with_correction(np.ones((2, 7))).save(tmp_path / "bad.ppu")
    with pytest.raises(ProgramError, match=r"its correction has shape \(2, 7\), not \(2, 6\)"):
        photonpu.Program.load(tmp_path / "bad.ppu")


def test_no_sample_is_refused() -> None:
    with pytest.raises(InputError, match="input 'x': calibration needs one sample or more"):
        photonpu.calibrate_on_chip(program(), 0, {"x": X[:0]})
    with pytest.raises(InputError, match="input 'x' is missing"):
        photonpu.calibrate_on_chip(program(), 0, {})
