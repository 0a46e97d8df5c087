"""What the compiled carried correction computes, literally."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.mzi import splitter
from photonpu.mesh.reference import embed
from photonpu.mesh.values import Plan

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]

_TURNS = 3
# Waveguides that share less than this with the ideal ones are dark.
_DARK = 1e-20


def carry(
    wanted: Floats,
    phase: Floats,
    offset: Floats,
    free: Flags,
    ideal: Complexes,
    real: Complexes,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
) -> tuple[Floats, Ints]:
    """Correct meshes locally, and carry on what each interferometer could not do.

    Local correction (Bandyopadhyay et al. 2021; `photonpu.mesh.reference.correct`) hands on the
    phases between the real light and the ideal. This one hands on all that differs. In the order
    of the light, with the ideal field A behind a perfect interferometer and the real field B before
    its real one T, whose rows are the two waveguides m and p, theta and phi are those that make

        |<A_m, (T B)_m>| + |<A_p, (T B)_p>|

    largest; phases of the two waveguides are left to what is behind. Where nothing was out of
    reach, B is A but for such phases, and the result is that of local correction. Else the
    remainder mixes waveguides, and those behind take off it what they can.

    Parameters
    ----------
    wanted
        (T, 2 K + N) phases for perfect meshes: all theta, all phi, all psi.
    phase
        (T, 2 K + N) as light meets them: where dead ones are.
    offset
        (T, 2 K + N) static errors: what light meets beyond a setting. A push-pull theta comes
        within half a turn of it.
    free
        (T, 2 K + N) which phases may change.
    ideal, real
        (T, N, C) fields before the mesh, as they should be and as they are.
    plan
        Layout.
    alpha, beta
        (T, K) errors of the angles of the input and output splitters.
    gamma
        (T, K) those of the splitters before the interferometers, where there are any.

    Returns
    -------
    phase
        (T, 2 K + N) as light should meet them, modulo 2 pi.
    clipped
        (T,) interferometers whose split cannot be reached, or whose theta is dead.
    """
    found, clipped = phase.copy(), np.zeros(len(phase), dtype=np.int32)
    for t in range(len(phase)):
        errors = np.stack([alpha[t], beta[t], gamma[t]], axis=1)
        clipped[t] = _carry(
            wanted[t], found[t], offset[t], free[t], _spread(ideal[t], plan), real[t], plan, errors
        )
    return found, clipped


def _spread(field: Complexes, plan: Plan) -> Complexes:
    """Return a field at the ports with dark rows for all other waveguides."""
    return np.concatenate([field, np.zeros((plan.waveguides - len(field), field.shape[1]))])


def _carry(
    wanted: Floats,
    phase: Floats,
    offset: Floats,
    free: Flags,
    a: Complexes,
    real: Complexes,
    plan: Plan,
    errors: Floats,
) -> int:
    """Set the phases of one mesh in place; return how many splits are out of reach."""
    b, mzis, clipped = _spread(real, plan), len(plan.row), 0
    for k in range(mzis):
        arms = [plan.row[k], plan.partner[k]]
        perfect = _block(wanted[k], wanted[mzis + k], np.zeros(3), plan)
        a = embed(perfect, arms[0], plan.waveguides, arms[1]) @ a
        met = b[arms] @ a[arms].conj().T
        if np.sum(np.abs(met) ** 2) < _DARK:
            met = perfect.conj().T
        if plan.third:
            met = splitter(np.pi / 4 + errors[k, 2]) @ met
        inner, outer = k, mzis + k
        left, _, right = np.linalg.svd(met)
        goal = left @ right
        best, out = _split(goal, *errors[k, :2])
        clipped += bool(out or not free[inner])
        if free[inner]:
            phase[inner] = best
        _choose(phase, (inner, outer), free, met, goal, errors[k])
        if free[inner] and plan.push:
            away = phase[inner] - offset[inner]
            phase[inner] -= 2.0 * np.pi * np.floor(away / (2.0 * np.pi) + 0.5)
        block = _block(phase[inner], phase[outer], errors[k], plan)
        b = embed(block, arms[0], plan.waveguides, arms[1]) @ b
    for n in np.flatnonzero(free[2 * mzis :]):
        phase[2 * mzis + n] = wanted[2 * mzis + n] - np.angle(b[n] @ a[n].conj())
    return clipped


def _block(theta: float, phi: float, errors: Floats, plan: Plan) -> Complexes:
    """Return one interferometer with the splitter before it, if there is one."""
    x, y = _parts(errors)
    block = (x + np.exp(1j * theta) * y) @ np.diag([np.exp(1j * phi), 1.0])
    if plan.push:
        block = -1j * np.exp(-0.5j * theta) * block
    return np.asarray(block @ splitter(np.pi / 4 + errors[2]) if plan.third else block)


def _parts(errors: Floats) -> tuple[Complexes, Complexes]:
    """Return X and Y of ``T = (X + e^{i theta} Y) diag(e^{i phi}, 1)``."""
    into, out = splitter(np.pi / 4 + errors[0]), splitter(np.pi / 4 + errors[1])
    return out @ np.diag([0.0, 1.0]) @ into, out @ np.diag([1.0, 0.0]) @ into


def _split(goal: Complexes, alpha: float, beta: float) -> tuple[float, bool]:
    """Return the theta of the split that two waveguides should have, and if it is clipped."""
    lowest, highest = np.sin(alpha + beta) ** 2, np.cos(alpha - beta) ** 2
    share = (np.abs(goal[0, 0]) ** 2 - lowest) / (highest - lowest)
    return 2.0 * np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0))), not 0.0 <= share <= 1.0


def _choose(
    phase: Floats,
    places: tuple[int, int],
    free: Flags,
    met: Complexes,
    goal: Complexes,
    errors: Floats,
) -> None:
    """Set theta and phi, if free, to what makes both outputs share most with the ideal, by turns.

    The unitary matrix `goal` is the nearest to `met`: its adjoint would be the best of all blocks.
    The starting phi is that which both outputs would have for it, weighted by their shares.
    """
    inner, outer = places
    x, y = _parts(errors)
    if free[outer]:
        bare = x + np.exp(1j * phase[inner]) * y
        shares = np.conj(bare[:, 0] * goal[0]) * bare[:, 1] * goal[1]
        phase[outer] = np.angle(np.sum(shares))
    both = free[inner] and free[outer]
    for _ in range(1 if both else _TURNS):
        upper = np.diag([np.exp(1j * phase[outer]), 1.0])
        found = np.diag((x + np.exp(1j * phase[inner]) * y) @ upper @ met)
        turned = np.diag(np.exp(-1j * np.angle(found)))
        if free[inner]:
            phase[inner] = -np.angle(np.trace(turned @ y @ upper @ met))
        if free[outer]:
            bare = x + np.exp(1j * phase[inner]) * y
            phase[outer] = -np.angle(np.trace(turned @ bare @ np.diag([1.0, 0.0]) @ met))
