"""One mesh of interferometers as algebra: unitary matrices, phases, errors, and back."""

from photonpu.mesh.factoring import factor
from photonpu.mesh.layouts import Layout
from photonpu.mesh.meshes import MESHES, Phases, Topology, correct, decompose, haar, matrix
from photonpu.mesh.mzi import attenuation, splitter, transfer
from photonpu.mesh.tiles import tile_matrices

__all__ = [
    "MESHES",
    "Layout",
    "Phases",
    "Topology",
    "attenuation",
    "correct",
    "decompose",
    "factor",
    "haar",
    "matrix",
    "splitter",
    "tile_matrices",
    "transfer",
]
