"""The layouts that are known, in the order in which a path is compared with them."""

from __future__ import annotations

from photonpu.models.datasets.arrays import NPZ
from photonpu.models.datasets.brats import BRATS, MSD
from photonpu.models.datasets.layout import Layout
from photonpu.models.datasets.pairs import KAGGLE_3M, PNG_PAIRS
from photonpu.models.datasets.volumes import VOLUMES
from photonpu.registry import Registry

DATASETS: Registry[Layout] = Registry("dataset layout")

# The special before the general: a BraTS folder holds volumes, and so does a Decathlon task.
for name, layout in (
    ("npz", NPZ),
    ("brats", BRATS),
    ("msd", MSD),
    ("kaggle-3m", KAGGLE_3M),
    ("png-pairs", PNG_PAIRS),
    ("volumes", VOLUMES),
):
    DATASETS.register(name)(layout)
