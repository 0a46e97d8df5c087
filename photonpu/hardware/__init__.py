"""What the machine is: its description, one fabricated chip of it, and its link budget."""

from photonpu.hardware.chip import Chip
from photonpu.hardware.link import LinkBudget
from photonpu.hardware.machine import Machine, Parameter
from photonpu.hardware.sections import (
    Converters,
    Detector,
    Digital,
    Memory,
    Mesh,
    Optics,
    PhaseShifters,
)

__all__ = [
    "Chip",
    "Converters",
    "Detector",
    "Digital",
    "LinkBudget",
    "Machine",
    "Memory",
    "Mesh",
    "Optics",
    "Parameter",
    "PhaseShifters",
]
