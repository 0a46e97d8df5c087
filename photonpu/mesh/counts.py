"""How many parts a mesh has, and how many light passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from photonpu.mesh.layouts import Layout


@dataclass(frozen=True, slots=True)
class Counts:
    """Parts of one mesh, and interferometers on the paths from its inputs to its outputs.

    Attributes
    ----------
    mzis
        Interferometers.
    shifters
        Phase shifters: two for each interferometer, and one for each output; in real meshes one
        for each interferometer. A push-pull pair counts as one.
    depth
        Columns.
    path_min, path_max
        Interferometers on the shortest and on the longest path.
    path_mean
        The same on average, for light that takes each way with the same chance.
    """

    mzis: int
    shifters: int
    depth: int
    path_min: int
    path_mean: float
    path_max: int

    def loss_db(self, mzi_loss_db: float) -> tuple[float, float, float]:
        """Return the loss of the shortest, the mean and the longest path, dB of power.

        Parameters
        ----------
        mzi_loss_db
            Insertion loss of one interferometer, dB of power.
        """
        return (
            self.path_min * mzi_loss_db,
            self.path_mean * mzi_loss_db,
            self.path_max * mzi_loss_db,
        )


def count(layout: Layout, real: bool = False) -> Counts:
    """Return the counts of a mesh, or of one without phi and psi; see `Counts`."""
    dark = np.arange(layout.waveguides) >= layout.ports
    shortest = np.where(dark, np.inf, 0.0)
    longest = np.where(dark, -np.inf, 0.0)
    chance = np.where(dark, 0.0, 1.0)
    passed = np.zeros(layout.waveguides)
    for pair in np.stack([layout.row, layout.partner], axis=1):
        shortest[pair] = shortest[pair].min() + 1.0
        longest[pair] = longest[pair].max() + 1.0
        chance[pair] = chance[pair].mean()
        passed[pair] = passed[pair].mean() + chance[pair]
    ends = slice(0, layout.ports)
    return Counts(
        layout.mzis,
        layout.mzis if real else 2 * layout.mzis + layout.ports,
        layout.depth,
        int(shortest[ends].min()),
        float(passed[ends].sum() / chance[ends].sum()),
        int(longest[ends].max()),
    )
