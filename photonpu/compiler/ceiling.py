"""About how much memory compiling takes, told before phases are made of the tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable

from photonpu.compiler.graph import Graph
from photonpu.compiler.placement import Layer
from photonpu.errors import InputError
from photonpu.hardware import Machine
from photonpu.mesh import MESHES

_MB = 1_000_000
_SINGLE, _DOUBLE = 4, 8  # bytes
_TOGETHER = 256  # tiles that are factored at a time
_COPIES = 8  # of them in double precision, while they are
_WEIGHTS = 3  # as they are read, in the graph, and in onnxruntime
_SPARE = 1.1
_LEAST_MB = 1.0
_TENSORS = 0.25  # of the ceiling that tensors of the float network may take together


def least(limit_mb: float | None) -> None:
    """Refuse a ceiling that is none.

    Raises
    ------
    InputError
        It is no number, or less than a megabyte.
    """
    if limit_mb is not None and not _LEAST_MB <= limit_mb < math.inf:
        raise InputError(f"memory_limit_mb={limit_mb:g}: give megabytes, 1 or more")


def held_bytes(limit_mb: float | None) -> int | None:
    """Return how many bytes of the float network's tensors may be held; None for the default."""
    return None if limit_mb is None else int(_TENSORS * limit_mb * _MB)


def needed(graph: Graph, layers: Iterable[Layer], machine: Machine) -> tuple[int, int, int]:
    """Return about what compiling takes, bytes: all of it, for phases, and for weights.

    The phases of all tiles beside their matrices, or earlier the weights as often as they are
    held at once. The interpreter and its libraries, and tensors of the float network that are
    held together, come on top.
    """
    ports = machine.mesh.ports
    mzis = MESHES[machine.mesh.topology].layout(ports).mzis
    count = sum(len(tiles.places) for layer in layers for tiles in layer.tiles)
    weights = sum(value.nbytes for value in graph.constants.values())
    matrices = _SINGLE * count * ports**2
    phases = _DOUBLE * count * (4 * mzis + 3 * ports)
    work = _DOUBLE * _COPIES * min(count, _TOGETHER) * ports**2
    most = max(_WEIGHTS * weights + matrices, weights + matrices + phases + work)
    return int(_SPARE * most), phases, weights


def check(limit_mb: float | None, graph: Graph, layers: Iterable[Layer], machine: Machine) -> None:
    """Refuse to compile what would take more than the ceiling.

    Raises
    ------
    InputError
        It would.
    """
    if limit_mb is None:
        return
    total, phases, weights = needed(graph, layers, machine)
    if total > limit_mb * _MB:
        raise InputError(
            f"memory_limit_mb={limit_mb:g}: to compile this model takes about "
            f"{math.ceil(total / _MB)} MB, its phases {phases / _MB:.0f} MB and its weights "
            f"{weights / _MB:.0f} MB of them; raise the limit, or put fewer layers on the mesh"
        )
