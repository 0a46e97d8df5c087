"""The simulator: what a program computes on a chip, how long it takes and what it costs."""

from photonpu.simulator.effects import Effect
from photonpu.simulator.estimate import Estimate, estimate
from photonpu.simulator.matrix import PhotonicMatrix
from photonpu.simulator.noise import NOISES, noise_source
from photonpu.simulator.session import Session

__all__ = [
    "NOISES",
    "Effect",
    "Estimate",
    "PhotonicMatrix",
    "Session",
    "estimate",
    "noise_source",
]
