"""One Mach-Zehnder interferometer: the convention that every other module follows.

Light enters on the left; the upper waveguide is the first row and column of each matrix::

    upper in --[phi]--+          +--[theta]--+          +-- upper out
                      | splitter |           | splitter |
    lower in ---------+ pi/4 + a +-----------+ pi/4 + b +-- lower out

``theta = 0`` is the cross state and ``theta = pi`` the bar state. Splitter errors are errors of
the *angle*, as in Hamerly et al., "Asymptotically fault-tolerant programmable photonics" (2022,
arXiv:2109.05367); an amplitude error is smaller by the square root of 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Complexes = NDArray[np.complex128]


def splitter(eta: ArrayLike) -> Complexes:
    """Return the transfer matrix of a splitter, ``[[cos, i sin], [i sin, cos]](eta)``.

    Parameters
    ----------
    eta
        (...) splitting angle, rad; pi/4 splits evenly.

    Returns
    -------
    NDArray[np.complex128]
        (..., 2, 2) outputs by inputs.
    """
    angle = np.asarray(eta, dtype=np.float64)
    return block_of(np.cos(angle), 1j * np.sin(angle), 1j * np.sin(angle), np.cos(angle))


def unbalanced(
    theta: ArrayLike,
    phi: ArrayLike,
    alpha: ArrayLike = 0.0,
    beta: ArrayLike = 0.0,
    skew: ArrayLike = 1.0,
) -> Complexes:
    """Return the transfer matrix of an interferometer whose arms lose differently.

    It is ``splitter(pi/4 + beta) @ diag(e^{i theta} sqrt(skew), 1 / sqrt(skew)) @
    splitter(pi/4 + alpha) @ diag(e^{i phi}, 1)``: what both arms lose on average, in decibels, is
    left out. Unlike `transfer` it is not unitary, so that no choice of phases can undo it.

    Parameters
    ----------
    theta, phi, alpha, beta
        As of `transfer`.
    skew
        (...) field behind the upper arm for a unit field behind the lower one.

    Returns
    -------
    NDArray[np.complex128]
        (..., 2, 2) outputs by inputs.
    """
    upper = np.sqrt(np.asarray(skew, dtype=np.float64))
    inner, outer = np.exp(1j * np.asarray(theta)), np.exp(1j * np.asarray(phi))
    arms = block_of(upper * inner, 0.0, 0.0, 1.0 / upper)
    before = block_of(outer, 0.0, 0.0, 1.0)
    eta_in, eta_out = np.pi / 4.0 + np.asarray(alpha), np.pi / 4.0 + np.asarray(beta)
    return np.asarray(splitter(eta_out) @ arms @ splitter(eta_in) @ before)


def transfer(
    theta: ArrayLike, phi: ArrayLike, alpha: ArrayLike = 0.0, beta: ArrayLike = 0.0
) -> Complexes:
    """Return the transfer matrix of an interferometer, in closed form.

    It equals ``splitter(pi/4 + beta) @ diag(e^{i theta}, 1) @ splitter(pi/4 + alpha) @
    diag(e^{i phi}, 1)``. Without errors it is ``i e^{i theta/2} [[e^{i phi} s, c],
    [e^{i phi} c, -s]]`` with ``s, c = sin(theta/2), cos(theta/2)`` (Clements et al. 2016, Optica
    3, 1460, in other names).

    Parameters
    ----------
    theta, phi
        (...) internal and external phase, rad.
    alpha, beta
        (...) errors of the angles of the input and the output splitter, rad.

    Returns
    -------
    NDArray[np.complex128]
        (..., 2, 2) outputs by inputs.
    """
    half, outer, into, out = np.broadcast_arrays(0.5 * np.asarray(theta), phi, alpha, beta)
    s, c = np.sin(half), np.cos(half)
    c_plus, s_plus = np.cos(into + out), np.sin(into + out)
    c_minus, s_minus = np.cos(into - out), np.sin(into - out)
    common, shifted = np.exp(1j * half), np.exp(1j * (half + outer))
    return block_of(
        shifted * (1j * s * c_minus - c * s_plus),
        common * (1j * c * c_plus - s * s_minus),
        shifted * (1j * c * c_plus + s * s_minus),
        common * (-1j * s * c_minus - c * s_plus),
    )


def attenuation(theta: ArrayLike, alpha: ArrayLike = 0.0, beta: ArrayLike = 0.0) -> Complexes:
    """Return what a push-pull interferometer, used from bar to bar, lets through.

    It is ``sin(theta/2) cos(alpha - beta) + i cos(theta/2) sin(alpha + beta)``: `transfer` from
    the upper input to the upper output, without its common phase ``i e^{i theta/2}``.

    Parameters
    ----------
    theta
        (...) internal phase, rad; 0 blocks and pi lets all through.
    alpha, beta
        (...) errors of the angles of the input and the output splitter, rad.

    Returns
    -------
    NDArray[np.complex128]
        (...) field out for a unit field in.
    """
    half, into, out = np.broadcast_arrays(0.5 * np.asarray(theta), alpha, beta)
    through = np.sin(half) * np.cos(into - out)
    return np.asarray(through + 1j * np.cos(half) * np.sin(into + out))


def block_of(a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike) -> Complexes:
    """Return ``[[a, b], [c, d]]`` with the axes of the entries in front: (..., 2, 2)."""
    entries = np.stack(np.broadcast_arrays(a, b, c, d), axis=-1).astype(np.complex128)
    return np.asarray(entries.reshape(*entries.shape[:-1], 2, 2))
