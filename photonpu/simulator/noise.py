"""The noise sources, one table: what each is, where it acts, how strong, and who says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from photonpu.hardware import Chip, Machine
from photonpu.mesh import variation
from photonpu.registry import Registry
from photonpu.simulator import ageing, detection
from photonpu.simulator.effects import Effect

Place = Literal["chip", "input", "detector", "sample"]
#: What acts of the sources, and how strongly: a number, or measured errors (cores, ports).
Strength = float | NDArray[np.float64]
Act = Callable[[Machine, Chip], Effect]
#: What a source adds to arrays of a chip, by their names.
Deviate = Callable[[Machine, Chip], Mapping[str, NDArray[np.float64]]]
Own = TypeVar("Own", bound=Callable[[Machine, Chip], Any])
Named = str | Iterable[str] | Mapping[str, float | NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Noise:
    """One noise source.

    Attributes
    ----------
    name
        How it is switched on.
    place
        ``"chip"``: fixed for one chip, part of its tile matrices; ``"input"``: on each vector
        that enters; ``"detector"``: fixed for the detectors of one chip; ``"sample"``: on each
        sample of a detector.
    parameter
        The machine's fields that set its strength.
    unit
        The unit of the first of them.
    equation
        What it does, in the symbols of ``docs/physics.md``.
    source
        Where the model comes from.
    act
        What it does to samples; None for what acts elsewhere.
    measured
        What measured errors, (cores, ports), do to samples; None where there is no such thing.
    scales
        Whether it can be made stronger and weaker, or is on or off only.
    deviate
        What it adds to arrays of a chip; None for what is in them already, or acts elsewhere.
    """

    name: str
    place: Place
    parameter: str
    unit: str
    equation: str
    source: str
    act: Act | None = None
    measured: Callable[[NDArray[np.float64]], Effect] | None = None
    scales: bool = True
    deviate: Deviate | None = None


NOISES = Registry[Noise]("noise source")


def noise_source(
    name: str,
    *,
    parameter: str = "",
    unit: str = "",
    equation: str,
    source: str,
    place: Literal["chip", "detector", "sample"] = "sample",
) -> Callable[[Own], Own]:
    """Return a decorator that adds a source of one's own to the table.

    It decorates a function of the machine and the chip that returns an `Effect` or, for the place
    ``"chip"``, a mapping from names of the chip's arrays to what is added to them: errors of
    splitters, of phases or of their response, or imbalances. The source is then a part of
    ``noise="full"``, and can be switched on by its name.

    Parameters
    ----------
    name
        How it is switched on.
    parameter, unit, equation, source, place
        As of `Noise`.

    Examples
    --------
    >>> from photonpu import PhotonicMatrix
    >>> from photonpu.simulator import Effect, noise_source
    >>> @noise_source("pick-up", equation="variance 1e-6 of full scale", source="our lab, 2026")
    ... def pick_up(machine, chip):
    ...     return Effect(floor=1e-6)
    >>> y = PhotonicMatrix([[1.0]], noise={"pick-up": 2.0}) @ [0.5]
    >>> bool(abs(y[0] - 0.5) < 0.02)
    True

    Every phase of the second core 10 mrad too large:

    >>> import numpy as np
    >>> @noise_source("hot core", equation="theta += 0.01", source="our lab", place="chip")
    ... def hot_core(machine, chip):
    ...     error = np.zeros(chip.theta_error.shape)
    ...     error[1] = 0.01
    ...     return {"theta_error": error}
    """

    def enter(function: Own) -> Own:
        entry = Noise(name, place, parameter, unit, equation, source)
        on_chip = place == "chip"
        entry = replace(entry, **{"deviate" if on_chip else "act": cast(Any, function)})
        NOISES.register(name)(entry)
        return function

    return enter


def _enter(entry: Noise) -> None:
    """Add one source to the table."""
    NOISES.register(entry.name)(entry)


_AGRAWAL = "Agrawal, Fiber-Optic Communication Systems (2010), ch. 4"
_enter(
    Noise(
        "splitter",
        "chip",
        "mesh.splitter_error_rad",
        "rad",
        "eta = pi/4 + alpha, alpha ~ N(0, sigma^2) for each of an MZI's two splitters",
        "Bandyopadhyay, Hamerly, Englund, Optica 8, 1247 (2021)",
    )
)
_enter(
    Noise(
        "phase",
        "chip",
        "phase.error_rad",
        "rad",
        "theta, phi, psi += N(0, sigma^2): what calibration leaves",
        "Shen et al., Nature Photonics 11, 441 (2017)",
    )
)
_enter(
    Noise(
        "loss",
        "chip",
        "mesh.mzi_loss_db, mesh.mzi_loss_std_db",
        "dB",
        "field * 10^(-loss/20) at each MZI passed; the mean over paths is calibrated out",
        "Clements et al., Optica 3, 1460 (2016)",
        scales=False,
    )
)
_enter(
    Noise(
        "correlated",
        "chip",
        "mesh.correlation_um",
        "µm",
        "errors of 'splitter', and of 'phase', have the correlation exp(-d / L) over the distance "
        "d on the floor plan in place of none; their sigma stays",
        "assumption of the form, unverified",
        scales=False,
    )
)
_enter(
    Noise(
        "regional",
        "chip",
        "mesh.region_factor, mesh.region_radius_um, mesh.region_x_um, mesh.region_y_um",
        "",
        "alpha, theta, phi, psi += N(0, (k^2 - 1) sigma^2) within a disc, so that they have k "
        "times the error of 'splitter' and 'phase' there",
        "assumption, unverified",
        deviate=variation.regional,
    )
)
_enter(
    Noise(
        "imbalance",
        "chip",
        "mesh.mzi_imbalance_db, mesh.mzi_imbalance_std_db",
        "dB",
        "field * 10^(-d/40) on the upper arm and 10^(d/40) on the lower one between an MZI's "
        "splitters; not unitary, and no phases make up for it",
        "assumption of the spread, unverified; arms as in docs/physics.md",
    )
)
_enter(
    Noise(
        "heater",
        "chip",
        "phase.gamma_error_rad_per_v2, phase.pi_voltage_v",
        "rad/V²",
        "phi -> phi (gamma + d) / gamma, gamma = pi / V_pi^2, d ~ N(0, sigma^2) cut at 3 sigma",
        "L2ight's public code: gamma_noise_std",
    )
)
_enter(
    Noise(
        "drift",
        "chip",
        "phase.drift_rad_per_rth, environment.since_calibration_s",
        "rad/√h",
        "theta, phi, psi += N(0, sigma^2 t): a random walk over the time since calibration",
        "assumption, unverified",
        deviate=ageing.drift,
    )
)
_enter(
    Noise(
        "ambient",
        "chip",
        "environment.ambient_change_k, phase.response_per_k, phase.thermo_optic_per_k, "
        "mesh.path_difference_um",
        "K",
        "phi -> phi (1 + c dT), and theta, phi, psi += (2 pi / lambda) (dn/dT) dL dT with path "
        "differences dL ~ N(0, sigma^2)",
        "optical path length; linear in the temperature, unverified",
        deviate=ageing.ambient,
    )
)
_enter(
    Noise(
        "dac",
        "chip",
        "phase.dac_bits",
        "bit",
        "phase rounded to a multiple of 2 pi / 2^bits, or to the phase of a voltage's code: "
        "phi = pi (V / V_pi)^2",
        "Shen et al., Nature Photonics 11, 441 (2017)",
        scales=False,
    )
)
_enter(
    Noise(
        "dead",
        "chip",
        "phase.dead_share",
        "",
        "shifters that are stuck at a setting; its heat and the static error of its phase stay",
        "assumption: each shifter with the same probability, stuck anywhere in (0, 2 pi]",
        scales=False,
    )
)
_enter(
    Noise(
        "crosstalk",
        "chip",
        "phase.crosstalk",
        "",
        "phi_i += strength * sum_j kappa(d_ij) * phi_j on wrapped phases",
        "Yin et al., SCATTER (2024): kappa(d) measured on heaters",
    )
)
_enter(
    Noise(
        "jitter",
        "sample",
        "phase.jitter_rad",
        "rad",
        "theta, phi, psi += N(0, sigma^2) anew for each vector; to first order the matrix shrinks "
        "and a sample gets the variance A |x|^2, with one A for each output of a tile",
        "first order in sigma^2, for sigma up to 0.03 rad",
    )
)
_enter(
    Noise(
        "input_dac",
        "input",
        "converters.input_bits",
        "bit",
        "x rounded to 2^(bits-1) - 1 levels a side of its calibrated range, and clipped to it",
        "uniform quantiser",
        scales=False,
    )
)
_enter(
    Noise(
        "modulator",
        "input",
        "optics.modulator_response",
        "",
        "'sine': x -> sin(pi x / 2); 'predistorted': the DAC rounds (2/pi) asin(x), so that only "
        "its levels are uneven",
        "field of a Mach-Zehnder modulator in push-pull: cosine of the drive",
        scales=False,
    )
)
_enter(
    Noise(
        "extinction",
        "sample",
        "optics.modulator_extinction_db",
        "dB",
        "shot noise of light in quadrature that leaks at x = 0: variance 2 q R epsilon^2 "
        "P_signal B, epsilon^2 = 10^(-ER/10)",
        "modulator with unequal arms; upper bound over the rows of a tile",
        detection.extinction,
    )
)
_enter(
    Noise(
        "rin",
        "sample",
        "optics.rin_db_per_hz, detector.cmrr_db",
        "dB/Hz",
        "variance r (y^2 + P_LO / (4 P_signal) 10^(-CMRR/10)), r = 10^(RIN/10) B; direct: "
        "r (3 y^2 / 4 + P_LO / (8 P_signal))",
        _AGRAWAL,
        detection.intensity,
    )
)
_enter(
    Noise(
        "shot",
        "sample",
        "optics.laser_power_mw, detector.local_oscillator_mw, detector.responsivity_a_per_w",
        "mW",
        "variance 2 q R (P_signal y^2 + P_LO) B of the photocurrent, for each pass",
        _AGRAWAL,
        detection.shot,
    )
)
_enter(
    Noise(
        "dark",
        "sample",
        "detector.dark_current_na",
        "nA",
        "variance 2 q (2 I_dark) B of two photodiodes, or of two passes",
        _AGRAWAL,
        detection.dark,
    )
)
_enter(
    Noise(
        "thermal",
        "sample",
        "detector.tia_noise_pa_per_rthz",
        "pA/√Hz",
        "variance i_n^2 B of the transimpedance amplifier, for each pass",
        _AGRAWAL,
        detection.thermal,
    )
)
_enter(
    Noise(
        "channels",
        "sample",
        "optics.channel_isolation_db, wavelengths",
        "dB",
        "y += c (y of both neighbouring wavelengths), c = 10^(-isolation/10), as noise of the "
        "variance 2 (w - 1) / w c^2 y^2 of w wavelengths",
        "a neighbour's vector has values of the same size",
        detection.channels,
    )
)
_enter(
    Noise(
        "dispersion",
        "sample",
        "mesh.splitter_dispersion_per_nm, optics.channel_spacing_nm, wavelengths",
        "1/nm",
        "eta -> eta (1 + d (lambda - lambda_0)) on the other wavelengths; averaged over them the "
        "matrix shrinks and a sample gets the variance A |x|^2, as of jitter",
        "Zhu et al., Lightening-Transformer, HPCA 2024",
    )
)
_enter(
    Noise(
        "detector_gain",
        "detector",
        "detector.gain_error",
        "",
        "y (1 + g), g ~ N(0, sigma^2) for each core and output",
        "mismatch of photodiodes and amplifiers",
        detection.gain,
        detection.gain_errors,
    )
)
_enter(
    Noise(
        "detector_offset",
        "detector",
        "detector.offset_error",
        "",
        "y + o, o ~ N(0, sigma^2) for each core and output, in parts of the full-scale current",
        "mismatch of photodiodes and amplifiers",
        detection.offset,
        detection.offsets,
    )
)
_enter(
    Noise(
        "adc_noise",
        "sample",
        "converters.adc_enob",
        "bit",
        "variance range^2 (4^-ENOB - 4^-bits) / 3",
        "Walden, IEEE J. Sel. Areas Commun. 17, 539 (1999)",
        detection.conversion,
    )
)
_enter(
    Noise(
        "adc",
        "sample",
        "converters.adc_bits, converters.adc_rounding",
        "bit",
        "each partial sum of a K-tile rounded to 2^(bits-1) - 1 levels a side of its calibrated "
        "range, to the nearest or by chance, and clipped to it",
        "uniform quantiser",
        scales=False,
    )
)
