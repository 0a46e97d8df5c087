"""The parts of a machine, as values that a user's file fills.

No field has a default: the numbers of the default machine, with their sources, stand in
``presets/mzi64-eo.toml`` and nowhere else. A unit is the end of a field's name; a number without
one is a count, a share, or has its unit in its description.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from photonpu.hardware.section import Section


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


class Environment(Section):
    """Where the machine stands, and for how long it has not been calibrated."""

    thing: ClassVar[str] = "an environment"

    ambient_change_k: Annotated[
        float,
        Field(
            ge=-500,
            le=500,
            description="temperature of the chip, above that at which it was calibrated",
        ),
    ]
    since_calibration_s: Annotated[
        float, Field(ge=0, le=1e12, description="time since the phases were calibrated")
    ]


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
