"""The noise sources, one table: what each is, where it acts, how strong, and who says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from photonpu.errors import InputError
from photonpu.registry import Registry

Place = Literal["chip", "input", "sample"]


@dataclass(frozen=True, slots=True)
class Noise:
    """One noise source.

    Attributes
    ----------
    name
        How it is switched on.
    place
        ``"chip"``: fixed for one chip, part of its tile matrices; ``"input"``: on each vector
        that enters; ``"sample"``: on each sample of a detector.
    parameter
        The machine's fields that set its strength.
    equation
        What it does, in the symbols of ``docs/physics.md``.
    source
        Where the model comes from.
    """

    name: str
    place: Place
    parameter: str
    equation: str
    source: str


NOISES = Registry[Noise]("noise source")


def _enter(name: str, place: Place, parameter: str, equation: str, source: str) -> None:
    """Add one source to the table."""
    NOISES.register(name)(Noise(name, place, parameter, equation, source))


_enter(
    "splitter",
    "chip",
    "mesh.splitter_error_rad",
    "eta = pi/4 + alpha, alpha ~ N(0, sigma^2) for each of an MZI's two splitters",
    "Bandyopadhyay, Hamerly, Englund, Optica 8, 1247 (2021)",
)
_enter(
    "phase",
    "chip",
    "phase.error_rad",
    "theta, phi, psi += N(0, sigma^2): what calibration leaves",
    "Shen et al., Nature Photonics 11, 441 (2017)",
)
_enter(
    "loss",
    "chip",
    "mesh.mzi_loss_db",
    "field * 10^(-loss/20) at each MZI passed; the mean over paths is calibrated out",
    "Clements et al., Optica 3, 1460 (2016)",
)
_enter(
    "dac",
    "chip",
    "phase.dac_bits",
    "phase rounded to a multiple of 2 pi / 2^bits, or to the phase of a voltage's code: "
    "phi = pi (V / V_pi)^2",
    "Shen et al., Nature Photonics 11, 441 (2017)",
)
_enter(
    "dead",
    "chip",
    "phase.dead_share",
    "shifters that are stuck at a setting; its heat and the static error of its phase stay",
    "assumption: each shifter with the same probability, stuck anywhere in (0, 2 pi]",
)
_enter(
    "crosstalk",
    "chip",
    "phase.crosstalk",
    "phi_i += strength * sum_j kappa(d_ij) * phi_j on wrapped phases",
    "Yin et al., SCATTER (2024): kappa(d) measured on heaters",
)
_enter(
    "input_dac",
    "input",
    "converters.input_bits",
    "x rounded to 2^(bits-1) - 1 levels a side of its calibrated range, and clipped to it",
    "uniform quantiser",
)
_enter(
    "shot",
    "sample",
    "optics.laser_power_mw, detector.local_oscillator_mw, detector.responsivity_a_per_w",
    "variance 2 q R (P_signal + P_LO) B + 2 q (2 I_dark) B of the balanced photocurrent",
    "Agrawal, Fiber-Optic Communication Systems (2010), ch. 4",
)
_enter(
    "thermal",
    "sample",
    "detector.tia_noise_pa_per_rthz",
    "variance i_n^2 B of the transimpedance amplifier",
    "Agrawal, Fiber-Optic Communication Systems (2010), ch. 4",
)
_enter(
    "adc",
    "sample",
    "converters.adc_bits",
    "each partial sum of a K-tile rounded to 2^(bits-1) - 1 levels a side of its calibrated "
    "range, and clipped to it",
    "uniform quantiser",
)

PRESETS = {
    "ideal": frozenset[str](),
    "quantised": frozenset({"dac", "input_dac", "adc"}),
    "full": frozenset(NOISES),
}


def sources(noise: str | Iterable[str]) -> frozenset[str]:
    """Return the names of the sources that `noise` switches on.

    Parameters
    ----------
    noise
        ``"ideal"`` (none), ``"quantised"`` (the converters), ``"full"`` (all), the name of one
        source, or several names.

    Raises
    ------
    photonpu.registry.UnknownNameError
        A name is in neither table.
    photonpu.errors.InputError
        `noise` is neither a name nor names.
    """
    if isinstance(noise, str):
        return PRESETS[noise] if noise in PRESETS else frozenset({NOISES[noise].name})
    try:
        names = list(noise)
    except TypeError:
        raise InputError(
            f"noise={noise!r}: give 'ideal', 'quantised', 'full', or names of sources"
        ) from None
    return frozenset(NOISES[name].name for name in names)
