"""One mesh of interferometers as algebra: unitary matrices, phases, errors, and back."""

from photonpu.mesh.counts import Counts
from photonpu.mesh.factoring import factor
from photonpu.mesh.layouts import Layout
from photonpu.mesh.meshes import correct, correct_alone, decompose, haar, matrix
from photonpu.mesh.mzi import attenuation, splitter, transfer
from photonpu.mesh.tiles import single_tiles, tile_matrices, write_rows
from photonpu.mesh.topologies import MESHES, Phases, Topology
from photonpu.mesh.variation import varied

__all__ = [
    "MESHES",
    "Counts",
    "Layout",
    "Phases",
    "Topology",
    "attenuation",
    "correct",
    "correct_alone",
    "decompose",
    "factor",
    "haar",
    "matrix",
    "single_tiles",
    "splitter",
    "tile_matrices",
    "transfer",
    "varied",
    "write_rows",
]
