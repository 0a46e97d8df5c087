"""Products of two activations, cut into vectors and matrices, against NumPy's matmul."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.program import factors

Held = Literal["left", "right"]
SHAPES = [
    ((3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (6, 4, 5)),
    ((4,), (4, 5)),
    ((2, 3, 4), (4,)),
    ((4,), (4,)),
]


@pytest.mark.parametrize("held", ["left", "right"])
@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_vectors_times_their_matrices_are_numpys_product(
    left: tuple[int, ...], right: tuple[int, ...], held: Held
) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(left), rng.standard_normal(right)

    vectors, matrices, entry = factors.split(a, b, held)
    rows = np.stack([v @ matrices[m].T for v, m in zip(vectors, entry, strict=True)])

    npt.assert_allclose(factors.join(rows, left, right, held), np.matmul(a, b), atol=1e-12)


def test_a_matrix_that_entries_share_is_there_once() -> None:
    vectors, matrices, entry = factors.split(np.ones((2, 3, 4)), np.ones((4, 5)), "right")

    assert vectors.shape == (2, 3, 4)
    assert matrices.shape == (1, 5, 4)
    assert entry.tolist() == [0, 0]
