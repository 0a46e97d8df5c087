"""Real matrices as two orthogonal ones, and attenuation between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.errors import InputError
from photonpu.mesh.values import frozen

Floats = NDArray[np.float64]


def factor(matrices: ArrayLike) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Factor real matrices as ``U diag(s) V^H``, many at a time.

    The same matrix gives the same bits in every batch and for any number of threads. U and V are
    orthogonal whatever the rank; those of a matrix of zeros are the identity.

    Parameters
    ----------
    matrices
        (T, N, N), N of 2 or more.

    Returns
    -------
    factors
        (T, 2, N, N): V^H, then U, as light meets them.
    values
        (T, N) singular values s, descending.
    found
        (T,) whether the iteration came to an end; it is not known not to.

    Raises
    ------
    InputError
        If the matrices are not a batch of square ones, or not finite.
    """
    from photonpu.mesh import kernels_singular

    batch = frozen(matrices)
    if batch.ndim != 3 or batch.shape[1] != batch.shape[2] or batch.shape[1] < 2:
        raise InputError(f"matrices of shape {batch.shape}: factor needs (tiles, N, N), N >= 2")
    if not np.isfinite(batch).all():
        raise InputError("matrices: some elements are NaN or infinite")
    factors, values, found = kernels_singular.factor(batch)
    return factors, values, found
