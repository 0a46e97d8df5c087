"""The ways to arrange interferometers, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.mesh import layouts
from photonpu.mesh.counts import Counts, count
from photonpu.mesh.layouts import Elimination, Layout
from photonpu.mesh.values import Plan, frozen
from photonpu.registry import Registry

Floats = NDArray[np.float64]
Unitaries = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Phases:
    """Phases of T meshes of K interferometers and N ports: ``U = diag(e^{i psi}) T_K ... T_1``.

    Attributes
    ----------
    theta, phi
        (T, K) internal and external phases in the order of the layout, rad.
    psi
        (T, N) phases after the last column, rad.
    """

    theta: Floats
    phi: Floats
    psi: Floats


@dataclass(frozen=True, slots=True)
class Topology:
    """One way to arrange the interferometers of a mesh.

    Attributes
    ----------
    name
        As machines name it.
    summary
        What it is, in a line.
    layout
        From the number of ports to the places of the interferometers.
    decompose
        From unitaries (T, N, N), float64 or complex128, to phases, which may go into arrays that
        are handed in.
    universal
        Whether every unitary has phases; if not, `decompose` fits the nearest that it finds.
    third
        Whether an even splitter stands before each interferometer, which is then
        ``T S(pi/4 + gamma)``.
    source
        Where it was published.
    push
        Whether theta is push-pull: half of it in the upper arm, minus half in the lower one, so
        that no common phase arises. It is then in [-pi, pi].
    real
        Whether interferometers have theta only: every orthogonal matrix has phases, up to signs
        of the outputs, which psi holds as 0 or pi.
    """

    name: str
    summary: str
    layout: Callable[[int], Layout]
    decompose: Callable[[Unitaries, Phases | None], Phases]
    universal: bool
    third: bool
    source: str
    push: bool = False
    real: bool = False

    def require_one_arm(self, what: str) -> None:
        """Raise `InputError` if phase shifters are push-pull, which `what` does not know."""
        if self.push:
            raise InputError(
                f"topology '{self.name}' has push-pull interferometers: {what} needs those with "
                "shifters in one arm, such as 'clements'"
            )

    def plan(
        self, ports: int, step: float = 0.0, unit: float = 0.0, programmed: bool = False
    ) -> Plan:
        """Return what kernels need of a mesh of `ports`; see `photonpu.mesh.values.Plan`."""
        layout = self.layout(ports)
        return Plan(
            layout.row,
            layout.partner,
            layout.waveguides,
            self.third,
            step,
            unit,
            programmed,
            self.push,
            self.real,
        )

    def counts(self, ports: int) -> Counts:
        """Return how many parts a mesh of `ports` has, and how many light passes."""
        return count(self.layout(ports), self.real)


MESHES = Registry[Topology]("mesh")
_NOT_FINITE = "unitaries: some elements are NaN or infinite"


def _enter(topology: Topology) -> None:
    MESHES.register(topology.name)(topology)


def _eliminate(
    build: Callable[[int], tuple[Layout, Elimination]], unitaries: Unitaries, into: Phases | None
) -> Phases:
    """Take unitaries apart by the elimination that belongs to a layout."""
    from photonpu.mesh import kernels_elimination as kernels

    steps = build(unitaries.shape[1])[1]
    order = (steps.left, steps.pair, steps.pivot, steps.slot)
    if into is not None and _contiguous(into):
        found = into
    else:
        found = Phases(*kernels.places(len(unitaries), steps.slot.size, unitaries.shape[1]))
    fill = kernels.fill if np.iscomplexobj(unitaries) else kernels.fill_real
    if not fill(unitaries, order, found.theta, found.phi, found.psi):
        raise InputError(_NOT_FINITE)
    return found


def _contiguous(phases: Phases) -> bool:
    """Return whether each array lies in one piece, as kernels write them."""
    return all(a.flags.c_contiguous for a in (phases.theta, phases.phi, phases.psi))


def _clements(unitaries: Unitaries, into: Phases | None = None) -> Phases:
    return _eliminate(layouts.clements, unitaries, into)


def _reck(unitaries: Unitaries, into: Phases | None = None) -> Phases:
    return _eliminate(layouts.reck, unitaries, into)


def _third(unitaries: Unitaries, _: Phases | None = None) -> Phases:
    """Take unitaries apart for interferometers with a splitter before them."""
    from photonpu.mesh import kernels_correction as kernels

    two = _clements(unitaries)
    plan = MESHES["clements"].plan(unitaries.shape[1])
    return Phases(*kernels.with_third(frozen(two.theta), frozen(two.phi), frozen(two.psi), plan))


def _push_pull(topology: str, unitaries: Unitaries) -> Phases:
    """Take unitaries apart for push-pull interferometers."""
    from photonpu.mesh import kernels_push as kernels

    if MESHES[topology].real and np.iscomplexobj(unitaries):
        raise InputError(
            f"topology '{topology}' does real matrices only, and these are complex; use 'clements'"
        )
    one = _clements(unitaries)
    plan = MESHES[topology].plan(unitaries.shape[1])
    return Phases(*kernels.with_push(frozen(one.theta), frozen(one.phi), frozen(one.psi), plan))


def _diamond(unitaries: Unitaries, _: Phases | None = None) -> Phases:
    """Set the triangle, and all outside of it to the bar state: light stays where it is."""
    triangle = _reck(unitaries)
    layout, slots = layouts.diamond(unitaries.shape[1])
    theta = np.full((len(unitaries), layout.mzis), np.pi)
    phi = np.zeros_like(theta)
    theta[:, slots], phi[:, slots] = triangle.theta, triangle.phi
    return Phases(theta, phi, triangle.psi)


def _butterfly(unitaries: Unitaries, _: Phases | None = None) -> Phases:
    from photonpu.mesh import butterfly

    if not np.isfinite(unitaries).all():
        raise InputError(_NOT_FINITE)
    return Phases(*butterfly.fit(unitaries, MESHES["butterfly"].plan(unitaries.shape[1])))


_enter(
    Topology(
        "clements",
        "rectangle: as shallow as a universal mesh can be",
        lambda ports: layouts.clements(ports)[0],
        _clements,
        universal=True,
        third=False,
        source="Clements et al. 2016, Optica 3, 1460",
    )
)
_enter(
    Topology(
        "reck",
        "triangle: simple to calibrate, paths of unequal length",
        lambda ports: layouts.reck(ports)[0],
        _reck,
        universal=True,
        third=False,
        source="Reck et al. 1994, Phys. Rev. Lett. 73, 58",
    )
)
_enter(
    Topology(
        "clements-3",
        "rectangle of three-splitter interferometers: correction reaches every split that matters",
        lambda ports: layouts.clements(ports)[0],
        _third,
        universal=True,
        third=True,
        source="Hamerly et al. 2022, Nat. Commun. 13, 6831",
    )
)
_enter(
    Topology(
        "clements-symmetric",
        "rectangle of push-pull interferometers: half the voltage, less phase noise",
        lambda ports: layouts.clements(ports)[0],
        lambda unitaries, _: _push_pull("clements-symmetric", unitaries),
        universal=True,
        third=False,
        source="Bell and Walmsley 2021, APL Photonics 6, 070804",
        push=True,
    )
)
_enter(
    Topology(
        "clements-real",
        "rectangle of push-pull interferometers without phi: real matrices, half the shifters",
        lambda ports: layouts.clements(ports)[0],
        lambda unitaries, _: _push_pull("clements-real", unitaries),
        universal=True,
        third=False,
        source="Bell and Walmsley 2021, APL Photonics 6, 070804",
        push=True,
        real=True,
    )
)
_enter(
    Topology(
        "diamond",
        "triangle and its mirror image: spare waveguides take what escapes",
        lambda ports: layouts.diamond(ports)[0],
        _diamond,
        universal=True,
        third=False,
        source="Shokraneh et al. 2020, Opt. Express 28, 23495",
    )
)
_enter(
    Topology(
        "butterfly",
        "fast Fourier transform: few columns, not universal",
        layouts.butterfly,
        _butterfly,
        universal=False,
        third=False,
        source="Cooley and Tukey 1965, Math. Comput. 19, 297",
    )
)
