"""Meshes as netlists of interferometers, for circuit simulators such as SAX."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from photonpu.errors import InputError
from photonpu.mesh.meshes import one_armed
from photonpu.mesh.topologies import MESHES, Phases

Netlist = dict[str, dict[str, Any]]


def netlist(
    phases: Phases,
    topology: str = "clements",
    *,
    tile: int = 0,
    alpha: ArrayLike = 0.0,
    beta: ArrayLike = 0.0,
    gamma: ArrayLike = 0.0,
    loss_db: ArrayLike = 0.0,
    imbalance_db: ArrayLike = 0.0,
) -> Netlist:
    """Return one mesh as instances, connections and ports, in the form that SAX reads.

    Parameters
    ----------
    phases
        Of T meshes.
    topology
        A name in `MESHES`.
    tile
        Which of the meshes.
    alpha, beta, gamma
        Errors of the angles of the splitters, rad; broadcast to (T, K).
    loss_db
        Insertion loss of each interferometer, dB of power; broadcasts to (T, K).
    imbalance_db
        What its upper arm loses more than its lower one, dB of power; `loss_db` is their mean.

    Returns
    -------
    dict
        Instances ``mzi_0``, ... of the component ``"mzi"`` (``"mzi3"`` with a third splitter) and
        ``psi_0``, ... of ``"phase"``, those of push-pull meshes with the phases of shifters in
        one arm that do the same; outside ports ``in0``, ... and ``out0``, ... Components are
        those of `models`.

    Raises
    ------
    UnknownNameError
        If there is no such topology.
    InputError
        If there is no such mesh.
    """
    tiles, ports = phases.psi.shape
    if not 0 <= tile < tiles:
        raise InputError(f"tile={tile}: there are {tiles}, counted from 0")
    mesh = MESHES[topology]
    layout = mesh.layout(ports)
    phases = one_armed(phases, topology)
    errors = {"alpha": alpha, "beta": beta, "loss_db": loss_db, "imbalance_db": imbalance_db}
    if mesh.third:
        errors["gamma"] = gamma
    each = {name: np.broadcast_to(value, phases.theta.shape) for name, value in errors.items()}
    each |= {"theta": phases.theta, "phi": phases.phi}
    instances: dict[str, Any] = {}
    connections: dict[str, str] = {}
    outside: dict[str, str] = {}
    ends = [""] * layout.waveguides
    for k, arms in enumerate(zip(layout.row, layout.partner, strict=True)):
        name = f"mzi_{k}"
        settings = {key: float(values[tile, k]) for key, values in each.items()}
        instances[name] = {"component": "mzi3" if mesh.third else "mzi", "settings": settings}
        for arm, waveguide in enumerate(arms):
            _join(connections, outside, ends[waveguide], f"{name},in{arm}", int(waveguide), ports)
            ends[waveguide] = f"{name},out{arm}"
    for n in range(ports):
        instances[f"psi_{n}"] = {
            "component": "phase",
            "settings": {"psi": float(phases.psi[tile, n])},
        }
        _join(connections, outside, ends[n], f"psi_{n},in0", n, ports)
        outside[f"out{n}"] = f"psi_{n},out0"
    return {"instances": instances, "connections": connections, "ports": outside}


def _join(
    connections: dict[str, str],
    outside: dict[str, str],
    end: str,
    port: str,
    waveguide: int,
    ports: int,
) -> None:
    """Connect `port` with what a waveguide comes from, or with the outside if it starts there."""
    if end:
        connections[end] = port
    elif waveguide < ports:
        outside[f"in{waveguide}"] = port


def models(xp: ModuleType) -> dict[str, Any]:
    """Return the components of a netlist as functions from settings to S-parameters.

    Parameters
    ----------
    xp
        NumPy, or another library with its functions: ``jax.numpy`` for SAX, in double precision.

    Returns
    -------
    dict
        ``"mzi"``, ``"mzi3"`` and ``"phase"``: functions that return a mapping from (port, port)
        to a complex number. No light is reflected.
    """

    def split(eta: Any) -> tuple[Any, Any]:
        return xp.cos(eta) + 0j, 1j * xp.sin(eta)

    def mzi3(
        theta: Any = 0.0,
        phi: Any = 0.0,
        alpha: Any = 0.0,
        beta: Any = 0.0,
        gamma: Any = -np.pi / 4,
        loss_db: Any = 0.0,
        imbalance_db: Any = 0.0,
    ) -> dict[tuple[str, str], Any]:
        c0, s0 = split(np.pi / 4 + gamma)
        c1, s1 = split(np.pi / 4 + alpha)
        c2, s2 = split(np.pi / 4 + beta)
        inner, outer = xp.exp(1j * theta), xp.exp(1j * phi)
        above, below = (10.0 ** (-(loss_db + part * imbalance_db) / 20.0) for part in (0.5, -0.5))
        found = {}
        for i, (a, b) in enumerate(((c0, s0), (s0, c0))):
            upper = above * inner * (c1 * outer * a + s1 * b)
            lower = below * (s1 * outer * a + c1 * b)
            found["out0", f"in{i}"] = c2 * upper + s2 * lower
            found["out1", f"in{i}"] = s2 * upper + c2 * lower
        return found | {(into, out): value for (out, into), value in found.items()}

    def mzi(
        theta: Any = 0.0,
        phi: Any = 0.0,
        alpha: Any = 0.0,
        beta: Any = 0.0,
        loss_db: Any = 0.0,
        imbalance_db: Any = 0.0,
    ) -> dict[tuple[str, str], Any]:
        return mzi3(theta, phi, alpha, beta, -np.pi / 4, loss_db, imbalance_db)

    def phase(psi: Any = 0.0) -> dict[tuple[str, str], Any]:
        return {("in0", "out0"): xp.exp(1j * psi), ("out0", "in0"): xp.exp(1j * psi)}

    return {"mzi": mzi, "mzi3": mzi3, "phase": phase}
