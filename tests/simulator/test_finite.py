"""Numbers that are none, huge or tiny: a named error, or a clipped value that is reported."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.errors import InputError, PhotonpuWarning
from photonpu.hardware import Machine
from photonpu.simulator import PhotonicMatrix, finite

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 8, "cores": 2})
NOISES = ["ideal", "quantised", "full"]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_by_name(bad: float, noise: str) -> None:
    weight, x = np.eye(8), np.ones(8, np.float32)
    weight[0, 1] = x[1] = bad

    with pytest.raises(InputError, match="the matrix holds NaN or infinity; clean it first"):
        PhotonicMatrix(weight, MACHINE, noise=noise)
    with pytest.raises(InputError, match="input 'x' holds NaN or infinity; clean the data first"):
        PhotonicMatrix(np.eye(8), MACHINE, noise=noise) @ x


@pytest.mark.parametrize("noise", ["quantised", "full"])
def test_a_huge_input_is_clipped_and_reported(noise: str) -> None:
    x = np.ones(8, np.float32)
    x[1] = 1e38
    matrix = PhotonicMatrix(np.ones((8, 8)), MACHINE, noise=noise)
    at_full_scale = matrix @ np.ones(8, np.float32)

    with pytest.warns(
        PhotonpuWarning, match=r"'matrix' \(MatMul\): its input 'x' reaches 1e\+38 a"
    ):
        y = matrix @ x

    npt.assert_array_equal(y, at_full_scale)


def test_a_huge_input_passes_ideal_hardware() -> None:
    x = np.zeros(8, np.float32)
    x[1] = 1e38

    npt.assert_allclose(PhotonicMatrix(np.ones((8, 8)), MACHINE) @ x, 1e38, rtol=1e-5)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("huge", [3e38, 1e300])
def test_a_product_beyond_single_precision_is_refused(huge: float, noise: str) -> None:
    matrix = PhotonicMatrix(np.full((8, 8), huge), MACHINE, noise=noise)

    with pytest.raises(InputError, match=r"'matrix' \(MatMul\): its output is beyond single prec"):
        matrix @ np.ones(8, np.float32)


def test_what_a_digital_step_makes_of_numbers_is_looked_at_again() -> None:
    (step,) = PhotonicMatrix(np.eye(2), MACHINE).program.photonic_steps

    with pytest.raises(
        InputError, match=r"'matrix' \(MatMul\): its input 'h' holds NaN or infinity"
    ):
        finite.single(step, "h", np.array([1.0, np.nan]))
    with pytest.raises(InputError, match="its input 'h' holds NaN or infinity"):
        finite.single(step, "h", np.array([1.0, 1e39]))


def test_finite_numbers_whose_sum_overflows_pass() -> None:
    (step,) = PhotonicMatrix(np.eye(2), MACHINE).program.photonic_steps
    y = np.full(9, 3e38, np.float32)

    npt.assert_array_equal(finite.product(step, y), y)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("tiny", [1e-42, 5e-324])
def test_denormal_numbers_are_numbers(tiny: float, noise: str) -> None:
    weight, x = np.eye(8), np.ones(8, np.float32)
    weight[0, 1] = tiny
    x[1] = np.float32(tiny)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = PhotonicMatrix(weight, MACHINE, noise=noise, input_range=1.0) @ x
        nothing = PhotonicMatrix(np.full((8, 8), tiny), MACHINE, noise=noise) @ x

    # Rounding to 8 bits and all of the default machine's noise stay within a fifth.
    npt.assert_allclose(y, [1, 0, 1, 1, 1, 1, 1, 1], atol=0.2)
    npt.assert_allclose(nothing, 0.0, atol=1e-40)
