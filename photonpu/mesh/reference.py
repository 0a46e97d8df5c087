"""What the compiled kernels compute, literally: the definition that they are tested against.

T tiles, N waveguides, K interferometers in the order of the layout. Angles are in rad.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.mzi import transfer

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]

# Elements whose squared magnitude is below this count as zero: their phase means nothing.
NOTHING = 1e-200


def decompose(
    unitaries: Complexes, left: Flags, pair: Ints, pivot: Ints, slot: Ints
) -> tuple[Floats, Floats, Floats]:
    """Take unitaries apart: ``U = diag(e^{i psi}) T_K ... T_1``.

    Clements et al. (2016), Optica 3, 1460; Reck et al. (1994), Phys. Rev. Lett. 73, 58. Each step
    nulls one element, from the right by ``U T^H`` or from the left by ``T U``. The inverses of
    the left interferometers then change places with the diagonal matrix, last one first. Where
    one of the two elements of a step is zero, its phi is 0.

    Parameters
    ----------
    unitaries
        (T, N, N) complex.
    left, pair, pivot, slot
        (K,) the steps; see `photonpu.mesh.layouts.Elimination`.

    Returns
    -------
    theta
        (T, K) internal phases, in [0, pi].
    phi
        (T, K) external phases, in [0, 2 pi).
    psi
        (T, N) output phases, in [0, 2 pi).
    """
    tiles, ports, _ = unitaries.shape
    theta, phi = np.zeros((2, tiles, len(slot)))
    psi = np.zeros((tiles, ports))
    for t in range(tiles):
        rest = unitaries[t].copy()
        for is_left, first, zero, k in zip(left, pair, pivot, slot, strict=True):
            if is_left:
                upper, lower = rest[first, zero], rest[first + 1, zero]
                theta[t, k], phi[t, k] = _null(upper, lower, lower * np.conj(upper))
                rest = _embed(transfer(theta[t, k], phi[t, k]), first, ports) @ rest
            else:
                upper, lower = rest[zero, first], rest[zero, first + 1]
                theta[t, k], phi[t, k] = _null(lower, upper, -upper * np.conj(lower))
                rest = rest @ _embed(transfer(theta[t, k], phi[t, k]), first, ports).conj().T
        diagonal = np.diag(rest).copy()
        for is_left, first, k in zip(left[::-1], pair[::-1], slot[::-1], strict=True):
            if is_left:
                inverse = transfer(theta[t, k], phi[t, k]).conj().T
                product = inverse @ np.diag(diagonal[first : first + 2])
                phi[t, k] = np.angle(diagonal[first] * np.conj(diagonal[first + 1]))
                block = transfer(theta[t, k], phi[t, k])
                diagonal[first : first + 2] = np.diag(product @ block.conj().T)
        psi[t] = np.angle(diagonal)
    return theta, wrap(phi), wrap(psi)


def _null(sine: complex, cosine: complex, turn: complex) -> tuple[float, float]:
    """Return theta with ``tan(theta/2) = |sine / cosine|``, and phi, the phase of `turn`."""
    sine_size, cosine_size = (abs(z) if abs(z) ** 2 > NOTHING else 0.0 for z in (sine, cosine))
    outer = np.angle(turn) if sine_size and cosine_size else 0.0
    return 2.0 * np.arctan2(sine_size, cosine_size), float(outer)


def _embed(block: Complexes, first: int, ports: int) -> Complexes:
    """Return the identity of size `ports` with `block` on rows `first` and ``first + 1``."""
    matrix = np.eye(ports, dtype=np.complex128)
    matrix[first : first + 2, first : first + 2] = block
    return matrix


def matrix(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    row: Ints,
    alpha: Floats,
    beta: Floats,
    gain: Floats,
) -> Complexes:
    """Return the transfer matrices of meshes, ``diag(e^{i psi}) T_K ... T_1``.

    Parameters
    ----------
    theta, phi
        (T, K) internal and external phases.
    psi
        (T, N) output phases.
    row
        (K,) upper waveguide of each interferometer, in the order of propagation.
    alpha, beta
        (T, K) errors of the angles of the input and output splitters.
    gain
        (T, K) what is left of the field after an interferometer; 1 for no loss.

    Returns
    -------
    NDArray[np.complex128]
        (T, N, N) outputs by inputs.
    """
    tiles, ports = psi.shape
    result = np.empty((tiles, ports, ports), dtype=np.complex128)
    for t in range(tiles):
        product = np.eye(ports, dtype=np.complex128)
        for k, first in enumerate(row):
            block = gain[t, k] * transfer(theta[t, k], phi[t, k], alpha[t, k], beta[t, k])
            product = _embed(block, first, ports) @ product
        result[t] = np.diag(np.exp(1j * psi[t])) @ product
    return result


def wrap(phase: Floats) -> Floats:
    """Return `phase` in [0, 2 pi)."""
    wrapped = np.mod(phase, 2.0 * np.pi)
    return np.where(wrapped < 2.0 * np.pi, wrapped, 0.0)
