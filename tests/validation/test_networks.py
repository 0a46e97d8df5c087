"""Published accuracies and energies of optical networks, beside ours.

None of the published data sets come with their trained networks. Vowels are Deterding's, digits
are the test images of MNIST with an open network; both are public, and not part of this repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.testing as npt
import pytest
from numpy.typing import NDArray
from scipy import constants

import photonpu
from photonpu import keyed
from photonpu.hardware import LinkBudget, Machine
from photonpu.program import Program
from tests.simulator import handmade
from tests.validation.digits import Floats, Product, digits, exact

if TYPE_CHECKING:
    import onnx

    from tests.conftest import Figure


pytestmark = pytest.mark.slow

PHOTON_J = constants.h * constants.c / 1550e-9


# Shen et al., Nature Photonics 11, 441 (2017): four vowels, 4 -> 4 -> 4, 180 test cases; 76.7 %
# optical and 91.7 % digital. The paper names four log area ratios as inputs.
VOWELS = (0, 2, 5, 7)  # four of the eleven; the paper's own choice is not on record here
OPTICAL, DIGITAL = 0.767, 0.917


def vowels(assets: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Return the first four ratios (360, 4), standardised, and the vowel 0..3, in file order."""
    lines = (assets / "vowels" / "deterding_vowel-context.data").read_text().split("\n")
    table = np.array([[float(word) for word in line.split()] for line in lines if line.strip()])
    table = table[np.isin(table[:, -1], VOWELS)]
    ratios = table[:, 3:7]
    labels = np.searchsorted(VOWELS, table[:, -1]).astype(np.int64)
    return (ratios - ratios.mean(axis=0)) / ratios.std(axis=0), labels


def trained(x: Floats, labels: NDArray[np.int64], seed: int = 0) -> tuple[Floats, Floats]:
    """Return two 4x4 matrices with a ReLU between, trained by Adam on the cross-entropy."""
    rng = np.random.default_rng(seed)
    parameters = [rng.normal(0, 0.7, (4, 4)), rng.normal(0, 0.7, (4, 4))]
    moments = [[np.zeros((4, 4)), np.zeros((4, 4))] for _ in parameters]
    target = np.eye(4)[labels]
    for step in range(1, 4001):
        hidden = np.maximum(x @ parameters[0].T, 0.0)
        logits = hidden @ parameters[1].T
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        slope = (odds / odds.sum(axis=1, keepdims=True) - target) / len(x)
        back = (slope @ parameters[1]) * (hidden > 0)
        for index, gradient in enumerate((back.T @ x, slope.T @ hidden)):
            first, second = moments[index]
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            scaled = np.sqrt(second / (1 - 0.999**step)) + 1e-8
            parameters[index] -= 0.02 * first / (1 - 0.9**step) / scaled
    return parameters[0], parameters[1]


def two_layers(first: Floats, second: Floats) -> onnx.ModelProto:
    """Write ``second relu(first x)`` as an ONNX model."""
    from onnx import TensorProto, helper, numpy_helper

    weights = [
        numpy_helper.from_array(w.T.astype(np.float32), name)
        for name, w in (("first", first), ("second", second))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "second"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 4]) for n in "xy")
    graph = helper.make_graph(nodes, "vowels", [x], [y], weights)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def test_phase_errors_bring_vowels_from_the_digital_to_the_optical_accuracy(
    assets: Path, figure: Figure
) -> None:
    x, labels = vowels(assets)
    odd = np.arange(len(x)) % 2 == 1
    first, second = trained(x[~odd], labels[~odd])
    machine = Machine.preset("ideal").override({"mesh.ports": 4, "cores": 1})
    inputs = x.astype(np.float32)
    program = photonpu.compile(two_layers(first, second), machine, calibration=inputs[~odd])
    ideal = accuracy(program, machine, inputs[odd], labels[odd], 0.0)

    found = {
        sigma: accuracy(program, machine, inputs[odd], labels[odd], sigma)
        for sigma in (0.005, 0.02, 0.05, 0.06, 0.07, 0.08, 0.1, 0.2)
    }

    figure("C16 vowels, digital", "4 vowels, 180 cases", ideal, DIGITAL)
    for sigma, share in found.items():
        figure("C16 vowels, optical, 100 chips", f"phase error {sigma} rad", share, OPTICAL)
    falls = np.interp(-OPTICAL, [-share for share in found.values()], list(found))
    figure("C16 vowels, phase error at 76.7 %", "rad; the paper's own: 0.005", falls, 0.005)
    assert abs(ideal - DIGITAL) < 0.06
    assert abs(found[0.005] - ideal) < 0.02  # 0.005 rad alone, of the paper, explain nothing
    assert found[0.05] > 0.78  # between these two it passes 76 to 78 %
    assert found[0.1] < 0.76


def accuracy(
    program: Program, machine: Machine, x: NDArray[np.float32], labels: Floats, sigma: float
) -> float:
    """Return the share of right answers over 100 chips whose phases are off by `sigma`."""
    noisy = machine.override({"phase.error_rad": sigma})
    right = [
        photonpu.Session(program, {"phase"}, chip, machine=noisy).run(None, {"x": x})[0]
        for chip in range(100 if sigma else 1)
    ]
    return float(np.mean([y.argmax(axis=1) == labels for y in right]))


# Shen et al. (2017): N mW of laser for all m layers, 1e11 vectors a second through each:
# N 1e-3 / (2 m N^2 1e11) J = 5 / (m N) fJ for each floating point operation.
@pytest.mark.parametrize(("ports", "layers"), [(8, 1), (64, 1), (64, 2), (64, 3), (128, 10)])
def test_the_laser_costs_shens_energy_for_each_operation(
    ports: int, layers: int, figure: Figure
) -> None:
    # There the light of one layer goes on to the next; here each layer is lit and detected on its
    # own, so that of N mW for all of them each has N / m.
    machine = Machine.preset("ideal").override(
        {
            "mesh.ports": ports,
            "cores": 1,
            "wavelengths": 1,
            "clock_ghz": 100.0,
            "optics.laser_power_mw": ports / layers,
            "optics.laser_efficiency": 1.0,
        }
    )
    products = [handmade.Product(f"layer{i}", ports, ports, 10**9) for i in range(layers)]
    cost = photonpu.estimate(handmade.program(products, machine))

    laser_j = sum(layer.energy.laser_j for layer in cost.layers)
    each_fj = 1e15 * laser_j / (layers * 2 * ports**2 * 10**9)

    expected = 5 / (layers * ports)
    figure("C17 laser, fJ an operation", f"{ports} ports, {layers} layers", each_fj, expected)
    npt.assert_allclose(each_fj, expected, rtol=1e-4)  # of 10 ms, phases settle for 1 us or less


# Hamerly et al., Phys. Rev. X 9, 021032 (2019): each output has the standard deviation
# |A_i| |x| / sqrt(N n) at n detected photons for each multiply-accumulate; networks fail from
# about 1 photon down, and 50 zJ (0.39 photons at 1,550 nm) are within reach.
def test_the_standard_quantum_limit_is_met_near_one_photon_a_multiplication(
    assets: Path, figure: Figure
) -> None:
    case = digits(assets)

    def at(photons: float) -> Product:
        def product(weight: Floats, x: Floats, index: int) -> Floats:
            lengths = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(weight, axis=1)
            normal = keyed.normal_array(1, index, shape=lengths.shape)
            noise: Floats = lengths / np.sqrt(weight.shape[1] * photons) * normal
            return x @ weight.T + noise

        return product

    best = case.share_right(exact)
    found = {n: case.share_right(at(n)) for n in (0.01, 0.1, 0.39, 1.0, 3.0, 10.0, 100.0)}

    for photons, right in found.items():
        energy = f"{photons:g} photons, {photons * PHOTON_J * 1e21:.3g} zJ"
        figure("C18 digits at the quantum limit", energy, right, best)
    npt.assert_allclose(0.39 * PHOTON_J, 50e-21, rtol=0.01)
    assert found[100.0] > best - 0.01
    assert found[0.1] < 0.2
    # Half of what can be lost is lost within a factor of ten of 1 photon.
    half = (best + 0.1) / 2
    assert found[0.1] < half < found[10.0]


# A strong local oscillator makes the ratio of homodyne detection 4 n for n signal photons, on
# which the quantum limit above rests; here by the link budget that all sessions use.
def test_homodyne_detection_has_four_times_the_photons_as_its_ratio(figure: Figure) -> None:
    machine = Machine.preset("mzi64-eo").override(
        {
            "detector.local_oscillator_mw": 10.0,
            "optics.laser_power_mw": 1e5,
            "detector.dark_current_na": 0.0,
            "detector.tia_noise_pa_per_rthz": 0.0,
            "optics.wavelength_nm": 1550.0,
        }
    )
    link = LinkBudget.of(machine)
    floor = link.variance.shot_floor
    electrons = machine.detector.responsivity_a_per_w * link.signal_power_w / constants.e
    photons = electrons / (machine.clock_ghz * 1e9)

    figure("B8 homodyne ratio over photons", "strong oscillator", 1 / floor / photons, 4.0)
    npt.assert_allclose(1 / floor, 4 * photons, rtol=1e-3)
