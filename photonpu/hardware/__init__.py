"""What the machine is: its description, one fabricated chip of it, and its link budget."""

from photonpu.hardware.chip import Chip
from photonpu.hardware.link import LinkBudget
from photonpu.hardware.machine import Machine, Parameter
from photonpu.hardware.parts import Mesh, PhaseShifters
from photonpu.hardware.sections import (
    Converters,
    Detector,
    Digital,
    Environment,
    Memory,
    Optics,
)

__all__ = [
    "Chip",
    "Converters",
    "Detector",
    "Digital",
    "Environment",
    "LinkBudget",
    "Machine",
    "Memory",
    "Mesh",
    "Optics",
    "Parameter",
    "PhaseShifters",
]
