"""The parts of a machine, as values that a user's file fills.

No field has a default: the numbers of the default machine, with their sources, stand in
``presets/mzi64-eo.toml`` and nowhere else. A unit is the end of a field's name; a number without
one is a count, a share, or has its unit in its description.
"""

from __future__ import annotations

from math import pi, sqrt
from types import NoneType
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from photonpu.hardware.topologies import SIZES


class Section(BaseModel):
    """A frozen value from a user's file: unknown keys, NaN and infinity are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )
    thing: ClassVar[str] = "a machine"
    """What has these fields, for error messages."""

    @field_validator("*", mode="before")
    @classmethod
    def _read_plain(cls, value: object, info: ValidationInfo) -> object:
        """Read the text "none" as the null that TOML and a shell lack; true is no number."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, str) and value.lower() == "none" and NoneType in get_args(kind):
            return None
        if isinstance(value, bool) and kind is not bool:
            return str(value).lower()
        return value


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
        Literal["none", "local"],
        Field(
            description="'local': phases are corrected for the measured splitter errors of a chip"
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


class Optics(Section):
    """Laser, coupling and modulators."""

    thing: ClassVar[str] = "an optical path"

    wavelength_nm: Annotated[
        float, Field(gt=100, lt=100_000, description="vacuum wavelength of the light")
    ]
    laser_efficiency: Annotated[
        float, Field(gt=0, le=1, description="optical power out per electrical power in")
    ]
    laser_power_mw: Annotated[
        float | None,
        Field(
            gt=0,
            description="optical power for one core, local oscillators included; 'none': as "
            "much as the link budget asks for",
        ),
    ]
    rin_db_per_hz: Annotated[
        float | None,
        Field(
            ge=-300,
            le=0,
            description="relative intensity noise of the laser; 'none': a laser without any",
        ),
    ]
    channel_spacing_nm: Annotated[
        float, Field(ge=0, le=100, description="between neighbouring wavelengths of a core")
    ]
    channel_isolation_db: Annotated[
        float | None,
        Field(
            ge=0,
            le=200,
            description="how far below its own light a detector sees that of a neighbouring "
            "wavelength, power; 'none': not at all",
        ),
    ]
    coupling_loss_db: Annotated[
        float, Field(ge=0, le=60, description="loss from the laser to the chip")
    ]
    modulator_loss_db: Annotated[
        float, Field(ge=0, le=60, description="insertion loss of one input modulator")
    ]
    modulator_extinction_db: Annotated[
        float | None,
        Field(
            ge=0,
            le=200,
            description="light that a modulator at zero lets through, below full scale, power; "
            "'none': none at all",
        ),
    ]
    modulator_response: Annotated[
        Literal["linear", "sine", "predistorted"],
        Field(
            description="field by code: proportional; the sine of an interferometer; or that "
            "sine at codes chosen for it"
        ),
    ]
    modulator_energy_fj_per_bit: Annotated[
        float, Field(ge=0, description="energy of one input modulator")
    ]
    modulator_static_mw: Annotated[
        float, Field(ge=0, description="power of one modulator whether it switches or not")
    ]
    modulator_area_um2: Annotated[float, Field(ge=0, description="area of one input modulator")]


class PhaseShifters(Section):
    """The phase shifters of the meshes and of the attenuators."""

    thing: ClassVar[str] = "a phase shifter"

    error_rad: Annotated[
        float, Field(ge=0, description="standard deviation of what is left after calibration")
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
    def phase_step(self) -> float:
        """Distance of two phases that the DAC sets in even steps, rad; 0 for even voltages."""
        return 2.0 * pi / 2.0**self.dac_bits if self.dac_domain == "phase" else 0.0

    @property
    def voltage_step_phase(self) -> float:
        """Phase at the DAC's first step of voltage, rad; at step n its n^2; 0 for even phases."""
        if self.dac_domain == "phase":
            return 0.0
        return pi * (self.full_voltage_v / (2.0**self.dac_bits - 1.0) / self.pi_voltage_v) ** 2


class Converters(Section):
    """Digital to analogue before the mesh, analogue to digital behind it."""

    thing: ClassVar[str] = "a converter"

    input_bits: Annotated[int, Field(ge=1, le=24, description="bits of the input DACs")]
    adc_bits: Annotated[int, Field(ge=1, le=24, description="bits of the ADCs")]
    adc_enob: Annotated[
        float | None,
        Field(
            gt=0,
            le=24,
            description="effective bits of the ADCs, their own noise included; 'none': adc_bits",
        ),
    ]
    adc_rounding: Annotated[
        Literal["nearest", "stochastic"],
        Field(
            description="'stochastic': to one of the two nearest levels, by chance, so that the "
            "mean is exact"
        ),
    ]
    dac_energy_pj: Annotated[
        float, Field(ge=0, description="energy of one conversion of an input DAC")
    ]
    adc_energy_pj: Annotated[
        float | None,
        Field(
            ge=0,
            description="energy of one ADC conversion; 'none': Murmann's survey at technology_nm",
        ),
    ]
    technology_nm: Annotated[
        float, Field(ge=1, le=1000, description="CMOS node of the ADC energy model")
    ]
    dac_area_um2: Annotated[float, Field(ge=0, description="area of one input DAC")]
    adc_area_um2: Annotated[float, Field(ge=0, description="area of one ADC")]


class Detector(Section):
    """The detectors: for each output port a balanced pair, or one photodiode read twice."""

    thing: ClassVar[str] = "a detector"

    readout: Annotated[
        Literal["homodyne", "direct"],
        Field(
            description="how a field becomes a current: 'homodyne' by a balanced pair, 'direct' "
            "as the difference of two intensities, in two passes"
        ),
    ]
    responsivity_a_per_w: Annotated[
        float, Field(gt=0, le=10, description="current per optical power of one photodiode")
    ]
    dark_current_na: Annotated[float, Field(ge=0, description="dark current of one photodiode")]
    cmrr_db: Annotated[
        float,
        Field(
            ge=0,
            le=200,
            description="common-mode rejection of a balanced pair, electrical power",
        ),
    ]
    gain_error: Annotated[
        float,
        Field(ge=0, le=1, description="standard deviation of a detector's gain, relative"),
    ]
    offset_error: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="standard deviation of a detector's offset, in parts of the current at "
            "full scale",
        ),
    ]
    tia_noise_pa_per_rthz: Annotated[
        float, Field(ge=0, description="input-referred noise of the transimpedance amplifier")
    ]
    tia_power_mw: Annotated[float, Field(ge=0, description="power of one amplifier")]
    tia_area_um2: Annotated[
        float, Field(ge=0, description="area of one amplifier with its photodiodes")
    ]
    local_oscillator_mw: Annotated[
        float | None,
        Field(
            gt=0,
            description="optical power of the local oscillator at one detector; 'none': what "
            "makes the best of the laser",
        ),
    ]

    @property
    def passes(self) -> int:
        """Times that a vector passes for one sample: an intensity has no sign."""
        return 2 if self.readout == "direct" else 1


class Memory(Section):
    """On-chip buffers and external memory."""

    thing: ClassVar[str] = "a memory"

    word_bits: Annotated[
        int, Field(ge=1, le=64, description="bits of a stored activation or partial sum")
    ]
    sram_pj_per_bit: Annotated[float, Field(ge=0, description="energy of one access on chip")]
    sram_mb: Annotated[float, Field(ge=0, description="capacity on chip, 1e6 bytes")]
    sram_mm2_per_mb: Annotated[float, Field(ge=0, description="area on chip")]
    dram_pj_per_bit: Annotated[float, Field(ge=0, description="energy of one external access")]
    dram_bandwidth_gb_per_s: Annotated[
        float, Field(gt=0, description="external bandwidth, 1e9 bytes/s")
    ]
    weights_in_dram: Annotated[
        bool, Field(description="phases come from external memory for each use, else from SRAM")
    ]


class Digital(Section):
    """The vector unit for whatever is not a product with a constant matrix."""

    thing: ClassVar[str] = "a digital unit"

    clock_ghz: Annotated[float, Field(gt=0, description="clock of the digital unit")]
    lanes: Annotated[int, Field(ge=1, description="operations in one clock cycle")]
    energy_pj_per_op: Annotated[float, Field(ge=0, description="energy of one operation")]
    area_mm2: Annotated[float, Field(ge=0, description="area of the digital unit")]
