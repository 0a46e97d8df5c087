"""Images and masks from the layouts that people have on disk, brought to one form."""

from __future__ import annotations

from photonpu.models.datasets.dataset import Dataset
from photonpu.models.datasets.layout import Layout
from photonpu.models.datasets.loading import load_dataset
from photonpu.models.datasets.table import DATASETS

__all__ = ["DATASETS", "Dataset", "Layout", "load_dataset"]
