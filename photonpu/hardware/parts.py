"""What a chip is made of: its meshes and their phase shifters, as values that a user's file fills.

As in `photonpu.hardware.sections`, no field has a default.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from photonpu.hardware.section import Section
from photonpu.hardware.topologies import SIZES


class Mesh(Section):
    """One interferometer mesh; a core has two, and a column of attenuators between them."""

    thing: ClassVar[str] = "a mesh"

    ports: Annotated[
        int, Field(ge=2, le=512, description="waveguides in and out; a tile is ports x ports")
    ]
    topology: Annotated[
        Literal[
            "clements",
            "reck",
            "clements-3",
            "clements-symmetric",
            "clements-real",
            "diamond",
            "butterfly",
        ],
        Field(description="how the interferometers are laid out"),
    ]
    splitter_error_rad: Annotated[
        float,
        Field(
            ge=0,
            le=0.7853981633974483,
            description="standard deviation of a splitter's angle from pi/4",
        ),
    ]
    splitter_dispersion_per_nm: Annotated[
        float,
        Field(
            ge=-1,
            le=1,
            description="relative change of a splitter's angle with the wavelength, 1/nm",
        ),
    ]
    mzi_loss_db: Annotated[
        float, Field(ge=0, le=20, description="insertion loss of one interferometer, mean")
    ]
    mzi_loss_std_db: Annotated[
        float,
        Field(ge=0, le=20, description="standard deviation of the loss between interferometers"),
    ]
    mzi_imbalance_db: Annotated[
        float,
        Field(
            ge=-20,
            le=20,
            description="what the upper arm of an interferometer loses more than the lower one, "
            "mean; mzi_loss_db is that of both arms",
        ),
    ]
    mzi_imbalance_std_db: Annotated[
        float,
        Field(ge=0, le=20, description="standard deviation of that between interferometers"),
    ]
    correlation_um: Annotated[
        float,
        Field(
            ge=0,
            le=1e7,
            description="distance at which errors of splitters, and of phases, have a "
            "correlation of 1/e; 0: all are independent",
        ),
    ]
    region_factor: Annotated[
        float,
        Field(
            ge=1,
            le=1000,
            description="errors of splitters and phases in a disc of the chip, in parts of those "
            "elsewhere",
        ),
    ]
    region_radius_um: Annotated[
        float, Field(ge=0, le=1e7, description="radius of that disc; 0: there is none")
    ]
    region_x_um: Annotated[
        float | None,
        Field(
            ge=-1e7,
            le=1e7,
            description="centre of that disc along the light, from where it enters; 'none': "
            "anywhere, by chip",
        ),
    ]
    region_y_um: Annotated[
        float | None,
        Field(
            ge=-1e7,
            le=1e7,
            description="centre of that disc across the light, from the first core's first port; "
            "'none': anywhere, by chip",
        ),
    ]
    path_difference_um: Annotated[
        float,
        Field(
            ge=0,
            le=1e6,
            description="standard deviation of the difference of the two paths that a phase "
            "shifter compares",
        ),
    ]
    mzi_length_um: Annotated[
        float, Field(gt=0, description="size of one interferometer along the light")
    ]
    mzi_width_um: Annotated[
        float, Field(gt=0, description="size of one interferometer across the light")
    ]
    group_index: Annotated[
        float, Field(ge=1, le=10, description="group index of the waveguides, for the flight time")
    ]
    correction: Annotated[
        Literal["none", "local", "carried", "refined"],
        Field(
            description="for the measured splitter errors of a chip: 'local' corrects each "
            "interferometer, 'carried' has those behind make up for what it left over, 'refined' "
            "corrects a mesh as a whole; sessions take ten and a hundred times longer to make"
        ),
    ]

    @field_validator("topology")
    @classmethod
    def _fits(cls, name: str, info: ValidationInfo) -> str:
        """Refuse a topology that cannot have this number of ports."""
        ports = info.data.get("ports")
        if ports is not None and SIZES[name].power_of_two and ports & (ports - 1):
            raise PydanticCustomError("power_of_two", "ports are no power of 2")
        return name

    @property
    def mzis(self) -> int:
        """Interferometers of one mesh."""
        return SIZES[self.topology].mzis(self.ports)

    @property
    def depth(self) -> int:
        """Interferometers on the longest path through one mesh."""
        return SIZES[self.topology].depth(self.ports)

    @property
    def shifters(self) -> int:
        """Phase shifters of one core: two meshes with their output phases, and attenuators.

        Meshes of real matrices have neither phi nor output phases.
        """
        mesh = self.mzis if SIZES[self.topology].real else 2 * self.mzis + self.ports
        return 2 * mesh + self.ports


class PhaseShifters(Section):
    """The phase shifters of the meshes and of the attenuators."""

    thing: ClassVar[str] = "a phase shifter"

    error_rad: Annotated[
        float, Field(ge=0, description="standard deviation of what is left after calibration")
    ]
    gamma_error_rad_per_v2: Annotated[
        float,
        Field(
            ge=0,
            le=100,
            description="standard deviation of the phase that a heater gives for a squared "
            "voltage, of pi / pi_voltage_v^2",
        ),
    ]
    drift_rad_per_rth: Annotated[
        float,
        Field(ge=0, le=100, description="random walk of a phase since it was calibrated"),
    ]
    response_per_k: Annotated[
        float,
        Field(
            ge=-1,
            le=1,
            description="relative change of the phase that a setting gives with the temperature",
        ),
    ]
    thermo_optic_per_k: Annotated[
        float,
        Field(
            ge=-1, le=1, description="change of the waveguides' refractive index with temperature"
        ),
    ]
    dead_share: Annotated[
        float, Field(ge=0, le=1, description="share of the shifters that are stuck, anywhere")
    ]
    jitter_rad: Annotated[
        float,
        Field(ge=0, le=1, description="standard deviation of a phase from vector to vector"),
    ]
    dac_bits: Annotated[
        int,
        Field(ge=1, le=32, description="resolution of a phase, over 2 pi, or of its voltage"),
    ]
    dac_domain: Annotated[
        Literal["phase", "voltage"],
        Field(
            description="what the DAC sets in even steps: the phase, or the voltage of a heater, "
            "whose square the phase follows"
        ),
    ]
    pi_voltage_v: Annotated[
        float, Field(gt=0, le=1000, description="voltage of a phase of pi, for that domain")
    ]
    full_voltage_v: Annotated[
        float, Field(gt=0, le=10_000, description="largest voltage of the DAC, for that domain")
    ]
    pi_power_mw: Annotated[
        float, Field(ge=0, description="power that holds a phase of pi; 0 for none")
    ]
    program_energy_pj: Annotated[
        float, Field(ge=0, description="energy of setting one shifter once")
    ]
    settling_time_us: Annotated[float, Field(ge=0, description="time until new phases can be used")]
    crosstalk: Annotated[
        float,
        Field(ge=0, le=1, description="strength of thermal crosstalk: 1 for bare heaters, 0 off"),
    ]
    driver_area_um2: Annotated[
        float, Field(ge=0, description="area of the driver of one phase shifter")
    ]

    @field_validator("full_voltage_v")
    @classmethod
    def _reaches(cls, full: float, info: ValidationInfo) -> float:
        """Refuse voltages that do not reach a whole turn, where they set the phases."""
        pi_voltage = info.data.get("pi_voltage_v")
        if info.data.get("dac_domain") == "voltage" and pi_voltage is not None:
            least = pi_voltage * sqrt(2.0)
            if full < least:
                raise PydanticCustomError("whole_turn", "too low", {"least": least})
        return full

    @property
    def response_error(self) -> float:
        """Standard deviation of what a setting gives, relative: that of gamma, pi / V_pi^2."""
        return self.gamma_error_rad_per_v2 * self.pi_voltage_v**2 / pi

    @property
    def phase_step(self) -> float:
        """Distance of two phases that the DAC sets in even steps, rad; 0 for even voltages."""
        return 2.0 * pi / 2.0**self.dac_bits if self.dac_domain == "phase" else 0.0

    @property
    def voltage_step_phase(self) -> float:
        """Phase at the DAC's first step of voltage, rad; at step n its n^2; 0 for even phases."""
        if self.dac_domain == "phase":
            return 0.0
        return pi * (self.full_voltage_v / (2.0**self.dac_bits - 1.0) / self.pi_voltage_v) ** 2
