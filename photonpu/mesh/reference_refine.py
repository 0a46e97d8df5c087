"""What the compiled refinement computes, literally: the definition that it is tested against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.mzi import splitter
from photonpu.mesh.reference import embed
from photonpu.mesh.values import Plan, wrap

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_TURNS = 3


def refine(
    goals: Complexes,
    theta: Floats,
    phi: Floats,
    psi: Floats,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
    sweeps: int,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Bring meshes nearer to goals, one interferometer at a time.

    Coordinate ascent on ``Re tr(U^H U')``, which for meshes without loss is descent on
    ``|U' - U|_F``. With all but one interferometer T held, the trace is ``Re tr(T Q)``: with
    ``T = (X + e^{i theta} Y) diag(e^{i phi}, 1)`` its best theta for a given phi is the phase of
    a number, and the other way round; three times by turns. A sweep goes through the mesh against
    the light and back, and then sets the output phases. It never gets worse.

    Parameters
    ----------
    goals
        (T, N, N) the matrices U that the meshes should be.
    theta, phi, psi
        (T, K), (T, K), (T, N) where to start.
    plan
        Layout.
    alpha, beta
        (T, K) errors of the angles of the input and output splitters.
    gamma
        (T, K) those of the splitters before the interferometers, where there are any.
    sweeps
        How often; 0 sets the output phases alone.

    Returns
    -------
    theta, phi, psi
        Phases in [0, 2 pi).
    overlap
        (T,) ``Re tr(U^H U') / N``; without loss ``|U' - U|_F^2 / N`` is twice what it lacks of 1.
    """
    new_theta, new_phi, new_psi = theta.copy(), phi.copy(), psi.copy()
    overlap = np.empty(len(goals))
    forward = list(range(len(plan.row)))
    for t, goal in enumerate(goals):
        errors = alpha[t], beta[t], gamma[t]
        phases = new_theta[t], new_phi[t], new_psi[t]
        for sweep in range(sweeps + 1):
            for k in [*forward[::-1], *forward] if sweep else []:
                _improve(goal, k, phases, plan, errors)
            light = _mesh(phases, plan, errors, forward)[: len(goal), : len(goal)]
            found = np.einsum("ij,ij->i", light, goal.conj())
            new_psi[t] = -np.angle(found)
            overlap[t] = np.abs(found).mean()
    return wrap(new_theta), wrap(new_phi), wrap(new_psi), overlap


def _improve(
    goal: Complexes,
    k: int,
    phases: tuple[Floats, Floats, Floats],
    plan: Plan,
    errors: tuple[Floats, Floats, Floats],
) -> None:
    """Set theta and phi of interferometer `k` to their best by turns, all else held."""
    theta, phi, psi = phases
    ports, mzis = len(goal), len(theta)
    behind = _mesh(phases, plan, errors, list(range(k + 1, mzis)))
    ahead = _mesh(phases, plan, errors, list(range(k)))
    turned = np.diag(np.exp(1j * psi))
    around = ahead[:, :ports] @ goal.conj().T @ turned @ behind[:ports]
    arms = [plan.row[k], plan.partner[k]]
    x, y, before = _parts(k, plan, errors)
    q = before @ around[np.ix_(arms, arms)]
    for _ in range(_TURNS):
        outer = np.diag([np.exp(1j * phi[k]), 1.0])
        theta[k] = -np.angle(np.trace(y @ outer @ q))
        upper = np.diag([1.0, 0.0])
        phi[k] = -np.angle(np.trace((x + np.exp(1j * theta[k]) * y) @ upper @ q))


def _parts(
    k: int, plan: Plan, errors: tuple[Floats, Floats, Floats]
) -> tuple[Complexes, Complexes, Complexes]:
    """Return X, Y and the splitter before: ``T = (X + e^{i theta} Y) diag(e^{i phi}, 1)``."""
    alpha, beta, gamma = errors
    into, out = splitter(np.pi / 4 + alpha[k]), splitter(np.pi / 4 + beta[k])
    before = splitter(np.pi / 4 + gamma[k]) if plan.third else np.eye(2, dtype=np.complex128)
    return out @ np.diag([0.0, 1.0]) @ into, out @ np.diag([1.0, 0.0]) @ into, before


def _mesh(
    phases: tuple[Floats, Floats, Floats],
    plan: Plan,
    errors: tuple[Floats, Floats, Floats],
    which: list[int],
) -> Complexes:
    """Return the product of the interferometers `which`, on all waveguides."""
    theta, phi, _ = phases
    product = np.eye(plan.waveguides, dtype=np.complex128)
    for k in which:
        x, y, before = _parts(k, plan, errors)
        block = (x + np.exp(1j * theta[k]) * y) @ np.diag([np.exp(1j * phi[k]), 1.0]) @ before
        product = embed(block, plan.row[k], plan.waveguides, plan.partner[k]) @ product
    return product
