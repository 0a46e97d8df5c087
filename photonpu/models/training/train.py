"""The training loop: draw, disturb, step, average, score, save; stop at any time and go on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from photonpu.errors import DataError
from photonpu.models.metrics import dice
from photonpu.models.preprocess import zscore
from photonpu.models.training import augment, network
from photonpu.models.training.cheng import Slices
from photonpu.models.training.extras import need
from photonpu.models.unet import UNet
from photonpu.storage import atomic_write


@dataclass(frozen=True, slots=True)
class Recipe:
    """All numbers that decide the result, besides the data.

    Attributes
    ----------
    features : int
        Channels of the U-Net's first level.
    epochs, slices_per_epoch, batch : int
        An epoch draws this many augmented slices.
    synthetic_share : float
        Part of the drawn slices that is synthetic, 0 to 1.
    learning_rate, weight_decay : float
        Peak rate of AdamW; it rises over a tenth of the steps and falls along a cosine.
    weight_noise : float
        Standard deviation of the error added to each matrix in each step, relative to the root
        mean square of its elements: the network learns to live on an analog machine.
    average : float
        Decay per step of the moving average of the weights; the average is what ships.
    threads : int
        Threads of torch. The sums' order depends on it, and so do the last bits of the result.
    seed : int
    """

    features: int = 8
    epochs: int = 60
    slices_per_epoch: int = 1024
    batch: int = 16
    synthetic_share: float = 0.25
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    weight_noise: float = 0.04
    average: float = 0.995
    threads: int = 2
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps in the whole training."""
        return self.epochs * (self.slices_per_epoch // self.batch)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rise = max(1, self.steps // 10)
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        done = (step - rise) / max(1, self.steps - rise)
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def loss(logits: Any, mask: Any) -> Any:
    """Add binary cross-entropy and 1 - soft Dice, the latter per slice.

    Parameters
    ----------
    logits, mask : torch.Tensor, shape (batch, 1, side, side)

    Returns
    -------
    torch.Tensor, scalar
        The added 1 in the ratio makes an empty prediction right where there is no lesion.
    """
    torch = need("torch")
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, mask)
    probability = torch.sigmoid(logits)
    overlap = (probability * mask).sum(dim=(1, 2, 3))
    total = probability.sum(dim=(1, 2, 3)) + mask.sum(dim=(1, 2, 3))
    return entropy + 1.0 - ((2.0 * overlap + 1.0) / (total + 1.0)).mean()


def predict(size: UNet, tensors: network.Tensors, slices: Slices) -> npt.NDArray[np.bool_]:
    """Segment slices as the exported file would: probability above one half.

    Returns
    -------
    numpy.ndarray of bool, shape (slices, 128, 128)
    """
    torch = need("torch")
    images = np.stack([zscore(image) for image in slices.image])[:, None]
    with torch.no_grad():
        parts = [
            network.logits(size, tensors, torch.from_numpy(images[k : k + 16]), learning=False)
            for k in range(0, len(slices), 16)
        ]
    return np.asarray(torch.cat(parts)[:, 0].numpy() > 0)


class Training:
    """What changes while it learns: weights, their average, the optimiser, the epoch."""

    def __init__(self, recipe: Recipe) -> None:
        torch = need("torch")
        torch.set_num_threads(recipe.threads)
        self.recipe = recipe
        self.size = UNet(features=recipe.features)
        self.weights = network.initial(self.size, recipe.seed)
        self.average = {name: value.detach().clone() for name, value in self.weights.items()}
        trained = {n: value for n, value in self.weights.items() if network.is_trained(n)}
        matrices = [value for name, value in trained.items() if name.endswith(".weight")]
        others = [value for name, value in trained.items() if not name.endswith(".weight")]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
        )
        self.epoch = 0

    def run_epoch(self, real: Slices, synthetic: Slices) -> float:
        """Learn from one epoch's draw and return its mean loss.

        The generator is seeded by the epoch's number, so a resumed training repeats no draw and
        skips none.
        """
        torch = need("torch")
        recipe = self.recipe
        generator = torch.Generator().manual_seed(1_000_003 * recipe.seed + self.epoch)
        rng = np.random.default_rng([recipe.seed, self.epoch])
        steps = recipe.slices_per_epoch // recipe.batch
        total = 0.0
        for index in range(steps):
            image, mask = _pick(rng, recipe, real, synthetic)
            x, truth = augment.draw(torch.from_numpy(image), torch.from_numpy(mask), generator)
            noisy = network.disturbed(self.weights, recipe.weight_noise, generator)
            value = loss(network.logits(self.size, noisy, x, learning=True), truth)
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()
            for group in self.optimiser.param_groups:
                group["lr"] = recipe.rate(self.epoch * steps + index)
            self.optimiser.step()
            self._follow(self.epoch * steps + index)
            total += float(value.detach())
        self.epoch += 1
        return total / steps

    def _follow(self, step: int) -> None:
        decay = min(self.recipe.average, (1.0 + step) / (10.0 + step))
        for name, value in self.weights.items():
            self.average[name].lerp_(value.detach(), 1.0 - decay)

    def save(self, path: Path) -> None:
        """Write a checkpoint; a kill leaves the one of the epoch before."""
        torch = need("torch")
        state = {
            "recipe": asdict(self.recipe),
            "epoch": self.epoch,
            "weights": {name: value.detach() for name, value in self.weights.items()},
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        atomic_write(path, lambda file: torch.save(state, file))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same recipe.

        Raises
        ------
        DataError
            If the checkpoint was made by another recipe.
        """
        torch = need("torch")
        state = torch.load(path, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise DataError(f"{path}: made by another recipe; remove it, or name another --out")
        with torch.no_grad():
            for name, value in self.weights.items():
                value.copy_(state["weights"][name])
                self.average[name].copy_(state["average"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch = int(state["epoch"])


def _pick(
    rng: np.random.Generator, recipe: Recipe, real: Slices, synthetic: Slices
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Take one batch of raw slices, each real or synthetic by the recipe's share."""
    images, masks = [], []
    for from_synthetic in rng.random(recipe.batch) < recipe.synthetic_share:
        source = synthetic if from_synthetic and len(synthetic) else real
        index = int(rng.integers(len(source)))
        images.append(source.image[index])
        masks.append(source.mask[index])
    return np.stack(images), np.stack(masks).astype(np.float32)


def validate(training: Training, slices: Slices) -> float:
    """Return the mean Dice of the averaged weights, NaN where there are no slices."""
    if not len(slices):
        return float("nan")
    masks = predict(training.size, training.average, slices)
    return float(
        np.mean([dice(mask, truth > 0) for mask, truth in zip(masks, slices.mask, strict=True)])
    )


def train(
    recipe: Recipe,
    parts: dict[str, Slices],
    synthetic: dict[str, Slices],
    checkpoint: Path,
    report: Callable[[str], None],
) -> Training:
    """Train to the recipe's last epoch, from the checkpoint if there is one.

    Parameters
    ----------
    recipe : Recipe
    parts, synthetic : dict of str to Slices
        ``training`` and ``validation`` slices; the test slices are never read here.
    checkpoint : Path
        Written after every epoch.
    report : callable
        Receives one line per epoch.

    Returns
    -------
    Training
    """
    training = Training(recipe)
    if checkpoint.exists():
        training.load(checkpoint)
        report(f"going on from {checkpoint} after epoch {training.epoch}")
    while training.epoch < recipe.epochs:
        value = training.run_epoch(parts["training"], synthetic["training"])
        training.save(checkpoint)
        scores = [validate(training, part["validation"]) for part in (parts, synthetic)]
        report(
            f"epoch {training.epoch}/{recipe.epochs}: loss {value:.4f}, "
            f"validation Dice {scores[0]:.3f} real, {scores[1]:.3f} synthetic"
        )
    return training
