"""How many parts a mesh has: what costs need of its topology, and no more.

What the topologies are, and how they are programmed, stands in `photonpu.mesh`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Parts of a mesh by the number of its ports.

    Attributes
    ----------
    mzis
        Interferometers.
    depth
        Interferometers on the longest path.
    third
        Whether a splitter stands before each interferometer.
    push
        Whether theta is push-pull.
    real
        Whether interferometers have theta only, and outputs no phase shifters.
    power_of_two
        Whether only powers of 2 will do for the number of ports.
    """

    mzis: Callable[[int], int]
    depth: Callable[[int], int]
    third: bool = False
    push: bool = False
    real: bool = False
    power_of_two: bool = False


def _triangle(ports: int) -> int:
    return ports * (ports - 1) // 2


def _rectangle_depth(ports: int) -> int:
    return ports if ports > 2 else 1


def _triangle_depth(ports: int) -> int:
    return max(1, 2 * ports - 3)


SIZES: dict[str, Size] = {
    "clements": Size(_triangle, _rectangle_depth),
    "reck": Size(_triangle, _triangle_depth),
    "clements-3": Size(_triangle, _rectangle_depth, third=True),
    "clements-symmetric": Size(_triangle, _rectangle_depth, push=True),
    "clements-real": Size(_triangle, _rectangle_depth, push=True, real=True),
    "diamond": Size(lambda ports: (ports - 1) ** 2, _triangle_depth),
    "butterfly": Size(
        lambda ports: ports // 2 * (ports.bit_length() - 1),
        lambda ports: ports.bit_length() - 1,
        power_of_two=True,
    ),
}
