"""What the compiled kernels compute, literally: the definition that they are tested against.

T tiles, N waveguides, K interferometers in the order of the layout. Angles are in rad.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.mzi import attenuation, splitter, transfer, unbalanced
from photonpu.mesh.reference_push import push_pull, with_push, without_push
from photonpu.mesh.values import Couplings, Errors, Plan, Splitters, wrap

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
                rest = embed(transfer(theta[t, k], phi[t, k]), first, ports) @ rest
            else:
                upper, lower = rest[zero, first], rest[zero, first + 1]
                theta[t, k], phi[t, k] = _null(lower, upper, -upper * np.conj(lower))
                rest = rest @ embed(transfer(theta[t, k], phi[t, k]), first, ports).conj().T
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


def embed(block: Complexes, first: int, size: int, second: int | None = None) -> Complexes:
    """Return the identity with `block` on rows `first` and `second`, by default the next one."""
    matrix = np.eye(size, dtype=np.complex128)
    rows = [first, first + 1 if second is None else second]
    matrix[np.ix_(rows, rows)] = block
    return matrix


def factor(tiles: Floats) -> tuple[Floats, Floats, Flags]:
    """Factor real matrices as ``U diag(s) V^H``, with U and V orthogonal.

    The compiled one makes them bidiagonal by reflections and then diagonal by rotations (Golub
    and Reinsch 1970, Numer. Math. 14, 403). What is below half a rounding of the largest element
    of the bidiagonal matrix counts as zero.

    Parameters
    ----------
    tiles
        (T, N, N).

    Returns
    -------
    factors
        (T, 2, N, N): V^H, then U, as light meets them.
    values
        (T, N) singular values, descending.
    found
        (T,) whether they were found.
    """
    factors = np.empty((len(tiles), 2, *tiles.shape[1:]))
    values = np.empty(tiles.shape[:2])
    for t, tile in enumerate(tiles):
        factors[t, 1], values[t], factors[t, 0] = np.linalg.svd(tile)
    return factors, values, np.ones(len(tiles), dtype=np.bool_)


def matrix(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
    gain: Floats,
    skew: Floats,
) -> Complexes:
    """Return the transfer matrices of meshes, ``diag(e^{i psi}) T_K ... T_1``.

    With a third splitter each ``T`` is ``T S(pi/4 + gamma)``. What enters and leaves by
    waveguides behind the first N is left out.

    Parameters
    ----------
    theta, phi
        (T, K) internal and external phases.
    psi
        (T, N) output phases.
    plan
        Layout.
    alpha, beta
        (T, K) errors of the angles of the input and output splitters.
    gamma
        (T, K) those of the splitters before the interferometers, where there are any.
    gain
        (T, K) what is left of the field after an interferometer; 1 for no loss.
    skew
        (T, K) field behind its upper arm for a unit field behind its lower one; 1 for equal arms.

    Returns
    -------
    NDArray[np.complex128]
        (T, N, N) outputs by inputs.
    """
    tiles, ports = psi.shape
    result = np.empty((tiles, ports, ports), dtype=np.complex128)
    for t in range(tiles):
        product = np.eye(plan.waveguides, dtype=np.complex128)
        for k, (first, second) in enumerate(zip(plan.row, plan.partner, strict=True)):
            form = push_pull if plan.push else unbalanced
            settings = theta[t, k], phi[t, k], alpha[t, k], beta[t, k], skew[t, k]
            block = gain[t, k] * form(*settings)
            block = block @ splitter(np.pi / 4 + gamma[t, k]) if plan.third else block
            product = embed(block, first, plan.waveguides, second) @ product
        result[t] = np.diag(np.exp(1j * psi[t])) @ product[:ports, :ports]
    return result


def correct(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    owed: Floats,
    plan: Plan,
    alpha: Floats,
    beta: Floats,
    gamma: Floats,
) -> tuple[Floats, Floats, Floats, Ints]:
    """Choose phases that make up for measured splitter errors, one interferometer at a time.

    Local correction of Bandyopadhyay, Hamerly and Englund, "Hardware error correction for
    programmable photonics" (2021), Optica 8, 1247. Each imperfect interferometer ``T'`` gets the
    split of the perfect one, as near as it can, and the phases between the two are owed to the
    interferometers behind it. A third splitter is undone in the goal of the other two (Hamerly,
    Bandyopadhyay and Englund 2022, Nat. Commun. 13, 6831).

    Parameters
    ----------
    theta, phi, psi
        (T, K), (T, K), (T, N) phases for a mesh without errors, theta in [0, pi].
    owed
        (T, N) phases that the light should already have and has not.
    plan
        Layout.
    alpha, beta
        (T, K) measured errors of the angles of the input and output splitters.
    gamma
        (T, K) those of the splitters before the interferometers, where there are any.

    Returns
    -------
    theta, phi, psi
        Corrected phases; phi and psi in [0, 2 pi).
    clipped
        (T,) interferometers whose split cannot be reached.
    """
    before = splitter(np.pi / 4) if plan.third else np.eye(2, dtype=np.complex128)
    real_before = (
        splitter(np.pi / 4 + gamma) if plan.third else np.broadcast_to(before, (*gamma.shape, 2, 2))
    )
    return _correct(theta, phi, psi, owed, plan, before, real_before, alpha, beta)


def with_third(
    theta: Floats, phi: Floats, psi: Floats, plan: Plan
) -> tuple[Floats, Floats, Floats]:
    """Return phases with which a mesh of three splitters does what one of two splitters does.

    Parameters
    ----------
    theta, phi, psi
        (T, K), (T, K), (T, N) phases for interferometers of two splitters.
    plan
        Layout.

    Returns
    -------
    theta, phi, psi
        For interferometers with an even splitter before them.
    """
    none = np.zeros_like(theta)
    before = np.eye(2, dtype=np.complex128)
    real_before = splitter(np.pi / 4 + none)
    owed = np.zeros_like(psi)
    return _correct(theta, phi, psi, owed, plan, before, real_before, none, none)[:3]


def _correct(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    owed: Floats,
    plan: Plan,
    before: Complexes,
    real_before: Complexes,
    alpha: Floats,
    beta: Floats,
) -> tuple[Floats, Floats, Floats, Ints]:
    """Give each block ``T' real_before`` the split of the block ``T before``."""
    new_theta, new_phi, new_psi = theta.copy(), phi.copy(), psi.copy()
    clipped = np.zeros(len(theta), dtype=np.int32)
    for t in range(len(theta)):
        due = np.ones(plan.waveguides, dtype=np.complex128)
        due[: psi.shape[1]] = np.exp(1j * owed[t])
        for k, arms in enumerate(np.stack([plan.row, plan.partner], axis=1)):
            a, b = alpha[t, k], beta[t, k]
            goal = transfer(theta[t, k], phi[t, k]) @ before @ np.diag(due[arms])
            goal = goal @ real_before[t, k].conj().T
            lowest, highest = np.sin(a + b) ** 2, np.cos(a - b) ** 2
            share = (abs(goal[0, 0]) ** 2 - lowest) / (highest - lowest)
            clipped[t] += share < 0.0 or share > 1.0
            new_theta[t, k] = 2.0 * np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0)))
            bare = transfer(new_theta[t, k], 0.0, a, b)
            new_phi[t, k] = np.angle(bare[0, 1] * goal[0, 0] / (bare[0, 0] * goal[0, 1]))
            real = transfer(new_theta[t, k], new_phi[t, k], a, b)
            overlap = np.sum(goal * real.conj(), axis=1)
            due[arms] = overlap / abs(overlap)
        new_psi[t] += np.angle(due[: psi.shape[1]])
    return new_theta, wrap(new_phi), wrap(new_psi), clipped


def tile_matrices(
    theta: Floats,
    phi: Floats,
    psi: Floats,
    attenuator: Floats,
    core: Ints,
    known: Splitters,
    splitters: Splitters,
    errors: Errors,
    plan: Plan,
    within: Couplings,
    line: Couplings,
) -> Complexes:
    """Return the field transfer of tiles ``U diag(a) V^H`` on cores with errors.

    Phases are corrected for the known splitter errors, unless they are as programmed or the
    mesh is real; rounded to
    what the converters can set, or stuck; made into phases by shifters that respond more or less
    than they should; moved by the heat of their neighbours and by static errors, in this order.
    Light then meets the actual splitters and losses. An attenuator passes ``sin(theta/2)``; the
    phase that its splitter errors add is owed to the mesh of U.

    Parameters
    ----------
    theta, phi
        (T, 2, K) internal and external phases of the meshes of ``V^H`` and ``U``.
    psi
        (T, 2, N) output phases.
    attenuator
        (T, N) internal phases of the attenuators.
    core
        (T,) the core each tile runs on.
    known
        Splitter errors that the correction knows; all zero for no correction.
    splitters, errors
        What the cores are really like.
    plan
        Layout and resolution.
    within
        Crosstalk between the 2 K + N shifters of a mesh: all theta, all phi, all psi.
    line
        Crosstalk between the N attenuators.

    Returns
    -------
    NDArray[np.complex128]
        (T, N, N) outputs by inputs.
    """
    tiles, ports = attenuator.shape
    result = np.empty((tiles, ports, ports), dtype=np.complex128)
    for t, c in enumerate(core):
        if plan.programmed:
            column = attenuator[t]
            wanted = [theta[t], phi[t], psi[t]]
        else:
            goal, a, b = attenuator[t], known.attenuator_into[c], known.attenuator_out[c]
            lowest, highest = np.sin(a + b) ** 2, np.cos(a - b) ** 2
            share = (np.sin(goal / 2.0) ** 2 - lowest) / (highest - lowest)
            column = 2.0 * np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0)))
            owed = np.stack([np.zeros(ports), -np.angle(attenuation(column, a, b))])
            errors_known = known.into[c], known.out[c], known.third[c]
            wanted = _corrected((theta[t], phi[t], psi[t]), owed, plan, errors_known)
        column = _alive(code_of(column, plan), errors.attenuator_stuck[c])
        column = _heated(errors.attenuator_response[c] * column, line) + errors.attenuator[c]
        halves = splitters.attenuator_into[c], splitters.attenuator_out[c]
        # From bar to bar, without the phase that both arms have in common.
        bars = unbalanced(column, 0.0, *halves, errors.attenuator_skew[c])[:, 0, 0]
        fields = -1j * np.exp(-0.5j * column) * bars
        real = splitters.into[c], splitters.out[c], splitters.third[c]
        coded = code_of(np.concatenate(wanted, axis=1), plan)
        signed = len(plan.row) if plan.push else 0
        coded[:, :signed] = _coded_both_ways(wanted[0][:, :signed], plan.step)
        coded = _alive(coded, errors.stuck[c])
        coded[:, :signed] -= 2.0 * np.pi * (coded[:, :signed] > np.pi)
        coded *= errors.response[c]
        meshes = np.stack([_heated(phases, within) for phases in coded]) + errors.mesh[c]
        inner, outer, last = np.split(meshes, [len(plan.row), 2 * len(plan.row)], axis=1)
        first, second = matrix(inner, outer, last, plan, *real, errors.gain[c], errors.skew[c])
        result[t] = second @ np.diag(errors.attenuator_gain[c] * fields) @ first
    return result


def _corrected(
    nominal: tuple[Floats, Floats, Floats],
    owed: Floats,
    plan: Plan,
    errors: tuple[Floats, Floats, Floats],
) -> list[Floats]:
    """Return corrected phases of both meshes of a core, whatever their interferometers are."""
    theta, phi, psi = nominal
    if plan.real:
        return [theta, phi, psi]
    if plan.push:
        one_arm = without_push(theta, phi, psi, plan)
        return list(with_push(*correct(*one_arm, owed, plan, *errors)[:3], plan))
    return list(correct(theta, phi, psi, owed, plan, *errors)[:3])


def _coded_both_ways(phase: Floats, step: float) -> Floats:
    """Return push-pull phases as converters set them: in [-pi, pi], the nearest of their steps."""
    code = np.floor(phase / step + 0.5) * step if step > 0.0 else phase
    return np.clip(code, -np.pi, np.pi)


def code_of(phase: Floats, plan: Plan) -> Floats:
    """Return phases as converters set them: in [0, 2 pi), the nearest of their steps."""
    wrapped = wrap(phase)
    if plan.unit > 0.0:
        count = int(np.ceil(np.sqrt(2.0 * np.pi / plan.unit))) + 1
        steps = plan.unit * np.arange(count + 1.0) ** 2
        places = np.append(steps, 2.0 * np.pi)  # a whole turn is none
        nearest = np.argmin(np.abs(wrapped[..., None] - places), axis=-1)
        return np.asarray(np.append(steps, 0.0)[nearest])
    if plan.step == 0.0:
        return wrapped
    step = plan.step
    return wrap(np.floor(wrapped / step + 0.5) % np.round(2.0 * np.pi / step) * step)


def _alive(phase: Floats, stuck: Floats) -> Floats:
    """Return the phases of shifters of which some are stuck."""
    return np.where(stuck > 0.0, wrap(stuck), phase)


def _heated(phase: Floats, couplings: Couplings) -> Floats:
    """Return phases with what each shifter gains from the heat of its neighbours."""
    gained = [
        np.sum(couplings.strength[start:stop] * phase[couplings.neighbour[start:stop]])
        for start, stop in zip(couplings.first, couplings.first[1:], strict=False)
    ]
    return phase + np.array(gained)
