"""What the compiled settling computes, literally: the definition that it is tested against."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.mzi import splitter
from photonpu.mesh.reference import code_of, embed
from photonpu.mesh.values import Plan

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]

_TURNS = 3


def settle(
    goals: Complexes,
    phase: Floats,
    offset: Floats,
    free: Flags,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
    columns: Ints,
    sweeps: int,
) -> Floats:
    """Bring meshes nearer to goals with phases that are dead, or that converters round.

    Coordinate ascent on ``Re tr(G^H U')`` as in `photonpu.mesh.reference_refine`, in which dead
    phases stay. With `columns` the phases are then rounded one column after the other in the order
    of the light: each is set to the nearest that its converter reaches, and all behind it are
    settled anew, so that later columns make up for what rounding did to the earlier ones. That is
    how Babai's nearest plane rounds a vector to a lattice (1986, Combinatorica 6, 1), and how
    Frantar et al. round weights (2023, arXiv:2210.17323). One sweep over all rounded phases
    follows, in which each takes the code that is now the best.

    Parameters
    ----------
    goals
        (T, N, N) what the meshes should be; rows or columns may be weighted.
    phase
        (T, 2 K + N) where to start: all theta, all phi, all psi, as light meets them, rad.
    offset
        (T, 2 K + N) static errors: what light meets beyond a setting.
    free
        (T, 2 K + N) which phases may change.
    plan
        Layout and resolution.
    alpha, beta
        (T, K) errors of the angles of the input and output splitters.
    gamma
        (T, K) those of the splitters before the interferometers, where there are any.
    columns
        (D + 1,) where each column begins among the interferometers, and their number, to round to
        what converters reach; nothing (0,) to leave phases as they are.
    sweeps
        Rounds of coordinate ascent before.

    Returns
    -------
    NDArray[np.float64]
        (T, 2 K + N) phases as light meets them, modulo 2 pi.
    """
    settled = phase.copy()
    for t, goal in enumerate(goals):
        mesh = _Mesh(goal, settled[t], offset[t], plan, alpha[t], beta[t], gamma[t])
        everything = range(mesh.mzis)
        mesh.last(free[t], rounds=False)
        for _ in range(sweeps):
            mesh.walk(reversed(everything), free[t], rounds=False)
            mesh.walk(everything, free[t], rounds=False)
            mesh.last(free[t], rounds=False)
        if not columns.size:
            continue
        moving = free[t].copy()
        mesh.walk(reversed(everything), moving, rounds=False)
        for first, last in pairwise(columns):
            mesh.walk(range(first, last), moving, rounds=True)
            moving[first:last] = moving[mesh.mzis + first : mesh.mzis + last] = False
            mesh.walk(range(last, mesh.mzis), moving, rounds=False)
            mesh.last(free[t], rounds=False)
            mesh.walk(reversed(range(last, mesh.mzis)), moving, rounds=False)
        mesh.last(free[t], rounds=True)
        mesh.walk(reversed(everything), free[t], rounds=True)
        mesh.walk(everything, free[t], rounds=True)
        mesh.last(free[t], rounds=True)
    return settled


class _Mesh:
    """One mesh whose phases change in place."""

    def __init__(
        self,
        goal: Complexes,
        phase: Floats,
        offset: Floats,
        plan: Plan,
        alpha: Floats,
        beta: Floats,
        gamma: Floats,
    ) -> None:
        self.goal, self.phase, self.offset, self.plan = goal, phase, offset, plan
        self.mzis, self.ports = len(plan.row), len(goal)
        self.errors = alpha, beta, gamma

    def walk(self, order: Iterable[int], free: Flags, *, rounds: bool) -> None:
        """Set one interferometer after the other to its best."""
        for k in order:
            self._improve(k, free, rounds)

    def last(self, free: Flags, *, rounds: bool) -> None:
        """Set the output phases to their best."""
        product = self._product(range(self.mzis))[: self.ports, : self.ports]
        found = np.einsum("ij,ij->i", product, self.goal.conj())
        for n in range(self.ports):
            if free[2 * self.mzis + n]:
                self._set(2 * self.mzis + n, -np.angle(found[n]), rounds)

    def _improve(self, k: int, free: Flags, rounds: bool) -> None:
        """Set theta and phi of interferometer `k` to their best by turns, all else held."""
        behind = self._product(range(k + 1, self.mzis))[: self.ports]
        ahead = self._product(range(k))[:, : self.ports]
        turned = np.diag(np.exp(1j * self.phase[2 * self.mzis :]))
        around = ahead @ self.goal.conj().T @ turned @ behind
        arms = [self.plan.row[k], self.plan.partner[k]]
        x, y, before = self._parts(k)
        q = before @ around[np.ix_(arms, arms)]
        inner, outer = k, self.mzis + k
        for _ in range(_TURNS):
            if free[inner]:
                self.phase[inner] = -np.angle(np.trace(y @ _upper(self.phase[outer]) @ q))
            if free[outer]:
                self.phase[outer] = self._best_outer(inner, x, y, q)
        if rounds:
            if free[inner]:
                self._set(inner, self.phase[inner], rounds)
            if free[outer]:
                self._set(outer, self._best_outer(inner, x, y, q), rounds)

    def _best_outer(self, inner: int, x: Complexes, y: Complexes, q: Complexes) -> float:
        """Return the phi that raises the trace most."""
        whole = x + np.exp(1j * self.phase[inner]) * y
        return float(-np.angle(np.trace(whole @ np.diag([1.0, 0.0]) @ q)))

    def _set(self, index: int, best: float, rounds: bool) -> None:
        """Set one phase, to what its converter reaches if that rounds."""
        offset = self.offset[index]
        self.phase[index] = code_of(best - offset, self.plan) + offset if rounds else best

    def _parts(self, k: int) -> tuple[Complexes, Complexes, Complexes]:
        """Return X, Y and the splitter before: ``T = (X + e^{i theta} Y) diag(e^{i phi}, 1)``."""
        alpha, beta, gamma = self.errors
        into, out = splitter(np.pi / 4 + alpha[k]), splitter(np.pi / 4 + beta[k])
        before = np.eye(2, dtype=np.complex128)
        if self.plan.third:
            before = splitter(np.pi / 4 + gamma[k])
        return out @ np.diag([0.0, 1.0]) @ into, out @ np.diag([1.0, 0.0]) @ into, before

    def _product(self, which: Iterable[int]) -> Complexes:
        """Return the product of some interferometers, on all waveguides."""
        product = np.eye(self.plan.waveguides, dtype=np.complex128)
        for k in which:
            x, y, before = self._parts(k)
            block = (x + np.exp(1j * self.phase[k]) * y) @ _upper(self.phase[self.mzis + k])
            arms = self.plan.row[k], self.plan.partner[k]
            product = embed(block @ before, arms[0], self.plan.waveguides, arms[1]) @ product
        return product


def _upper(phase: float) -> Complexes:
    """Return a phase on the upper of two waveguides."""
    return np.diag([np.exp(1j * phase), 1.0])
