"""The phases of a program in files for other tools, each with its convention said in it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from photonpu.errors import InputError
from photonpu.mesh import MESHES, Phases
from photonpu.mesh.conventions import CONVENTIONS, ForeignPhases, convert
from photonpu.mesh.netlist import netlist
from photonpu.program.values import Program, TileBank

CONVENTION = (
    "T = S(pi/4) diag(e^{i theta}, 1) S(pi/4) diag(e^{i phi}, 1) with "
    "S(eta) = [[cos eta, i sin eta], [i sin eta, cos eta]], on waveguides row (upper) and partner; "
    "theta = 0 is the cross state. A mesh is diag(e^{i psi}) T_K ... T_1, outputs by inputs; a "
    "tile is scale * U diag(sin(attenuator / 2)) V^H. Phases in rad; light meets V^H first."
)
THIRD = " T is multiplied from the right by S(pi/4): a third splitter, before the interferometer."
PUSH = (
    " T is multiplied by -i e^{-i theta/2}: theta is push-pull, half of it in the upper arm and "
    "minus half in the lower one."
)
REAL = " There is no phi, and psi is a sign that is set digitally."
_MESHES = ("vh", "u")


def export(program: Program, form: str, tiles: Sequence[int] | None = None) -> str:
    """Return phases of a program as text.

    Parameters
    ----------
    program
        What to export.
    form
        A name in `FORMATS`.
    tiles
        Which tiles; None for all.

    Raises
    ------
    InputError
        If there is no such format or tile, or the format takes one tile and more are asked for.
    UnknownNameError
        If the topology has no other convention.
    """
    if form not in FORMATS:
        raise InputError(f"format '{form}': there are {', '.join(FORMATS)}")
    count = len(program.tiles)
    chosen = list(range(count)) if tiles is None else list(tiles)
    for tile in chosen:
        if not 0 <= tile < count:
            raise InputError(f"tile {tile}: the program has {count}, counted from 0")
    return FORMATS[form](program, chosen)


def _json(program: Program, tiles: Sequence[int]) -> str:
    bank = program.tiles
    layout = MESHES[program.machine.mesh.topology].layout(bank.ports)
    document = _head(program) | {
        "layout": {
            "column": layout.column.tolist(),
            "row": layout.row.tolist(),
            "partner": layout.partner.tolist(),
        },
        "tiles": [
            {
                "tile": tile,
                "core": int(bank.core[tile]),
                "scale": float(bank.scale[tile]),
                "attenuator": bank.attenuator[tile].tolist(),
            }
            | {
                mesh: {
                    name: getattr(bank, name)[tile, which].tolist()
                    for name in ("theta", "phi", "psi")
                }
                for which, mesh in enumerate(_MESHES)
            }
            for tile in tiles
        ],
    }
    return json.dumps(document, indent=1)


def _csv(program: Program, tiles: Sequence[int]) -> str:
    bank = program.tiles
    layout = MESHES[program.machine.mesh.topology].layout(bank.ports)
    text = io.StringIO()
    for key, value in _head(program).items():
        text.write(f"# {key}: {value}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["tile", "core", "part", "column", "row", "partner", "theta", "phi"])
    for tile in tiles:
        core = int(bank.core[tile])
        for which, mesh in enumerate(_MESHES):
            places = zip(layout.column, layout.row, layout.partner, strict=True)
            phases = zip(bank.theta[tile, which], bank.phi[tile, which], strict=True)
            for place, angles in zip(places, phases, strict=True):
                rows.writerow([tile, core, mesh, *map(int, place), *map(float, angles)])
            for n, psi in enumerate(bank.psi[tile, which]):
                rows.writerow([tile, core, f"{mesh}-psi", layout.depth, n, "", "", float(psi)])
            if which == 0:
                for n, theta in enumerate(bank.attenuator[tile]):
                    rows.writerow([tile, core, "attenuator", "", n, "", float(theta), ""])
    return text.getvalue()


def _sax(program: Program, tiles: Sequence[int]) -> str:
    """Return both meshes of one tile as netlists; the attenuators stand between them."""
    tile = _one(tiles, "sax")
    topology = program.machine.mesh.topology
    meshes = {
        mesh: netlist(_phases(program.tiles, tile, which), topology)
        for which, mesh in enumerate(_MESHES)
    }
    amplitudes = np.sin(program.tiles.attenuator[tile] / 2)
    document = _head(program) | {
        "scale": float(program.tiles.scale[tile]),
        "attenuation": amplitudes.tolist(),
    }
    return json.dumps(document | meshes, indent=1)


def _gates(
    program: Program, tiles: Sequence[int], form: str, build: Callable[[ForeignPhases], list[Any]]
) -> str:
    tile = _one(tiles, form)
    topology = program.machine.mesh.topology
    first, second = (
        build(convert(_phases(program.tiles, tile, which), topology, form)) for which in (0, 1)
    )
    passed = np.sin(program.tiles.attenuator[tile] / 2) ** 2
    between = [
        _LOSSES[form] | {"modes": [n], "parameters": [float(_KEPT[form](share))]}
        for n, share in enumerate(passed)
    ]
    document = _head(program) | {
        "convention": f"{CONVENTIONS[form].source}; gates in the order that light meets them",
        "scale": float(program.tiles.scale[tile]),
        "gates": [*first, *between, *second],
    }
    return json.dumps(document, indent=1)


def _strawberryfields(program: Program, tiles: Sequence[int]) -> str:
    def build(found: ForeignPhases) -> list[Any]:
        return _pairs(found, "MZgate", ("phi_in", "phi_ex")) + _ends(found, "Rgate")

    return _gates(program, tiles, "strawberryfields", build)


def _perceval(program: Program, tiles: Sequence[int]) -> str:
    def build(found: ForeignPhases) -> list[Any]:
        return _pairs(found, "mzi phase first", ("phi_a", "phi_b")) + _ends(found, "PS")

    return _gates(program, tiles, "perceval", build)


# Strawberry Fields' channel is told the share of the power that stays, Perceval's what is lost.
_LOSSES: dict[str, dict[str, Any]] = {
    "strawberryfields": {"gate": "LossChannel"},
    "perceval": {"gate": "LC"},
}
_KEPT: dict[str, Callable[[float], float]] = {
    "strawberryfields": lambda share: share,
    "perceval": lambda share: 1.0 - share,
}


def _pairs(found: ForeignPhases, gate: str, names: tuple[str, str]) -> list[Any]:
    layout = MESHES[found.topology].layout(found.outputs.shape[1])
    return [
        {
            "gate": gate,
            "modes": [int(layout.row[k]), int(layout.partner[k])],
            "parameters": [float(found.values[name][0, k]) for name in names],
        }
        for k in range(layout.mzis)
    ]


def _ends(found: ForeignPhases, gate: str) -> list[Any]:
    return [
        {"gate": gate, "modes": [n], "parameters": [float(phase)]}
        for n, phase in enumerate(found.outputs[0])
    ]


def _head(program: Program) -> dict[str, Any]:
    """Return what every file says first."""
    topology = MESHES[program.machine.mesh.topology]
    return {
        "program": program.name,
        "topology": topology.name,
        "ports": program.tiles.ports,
        "convention": CONVENTION
        + (THIRD if topology.third else "")
        + (PUSH if topology.push else "")
        + (REAL if topology.real else ""),
    }


def _phases(bank: TileBank, tile: int, which: int) -> Phases:
    one = slice(tile, tile + 1)
    return Phases(bank.theta[one, which], bank.phi[one, which], bank.psi[one, which])


def _one(tiles: Sequence[int], form: str) -> int:
    """Return the only tile, or raise `InputError`."""
    if len(tiles) != 1:
        raise InputError(f"format '{form}' takes one tile, not {len(tiles)}: choose it by --tile")
    return tiles[0]


FORMATS: dict[str, Callable[[Program, Sequence[int]], str]] = {
    "json": _json,
    "csv": _csv,
    "sax": _sax,
    "perceval": _perceval,
    "strawberryfields": _strawberryfields,
}
