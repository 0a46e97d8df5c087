"""Outputs have the same bits for any threads, batch and process, interrupted or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import photonpu
from photonpu.models import zoo
from photonpu.models.unet import UNet, random_weights, to_onnx
from photonpu.simulator import NOISES
from photonpu.simulator.receiver import SAMPLINGS

#: Lets every noise source act but jitter, beside those that presets have.
ALL_NOISE = {
    "mesh.splitter_error_rad": 0.01,
    "mesh.splitter_dispersion_per_nm": 0.001,
    "mesh.mzi_imbalance_std_db": 0.02,
    "mesh.correlation_um": 500.0,
    "mesh.region_factor": 2.0,
    "mesh.region_radius_um": 300.0,
    "mesh.path_difference_um": 1.0,
    "phase.error_rad": 0.01,
    "phase.gamma_error_rad_per_v2": 0.001,
    "phase.drift_rad_per_rth": 0.001,
    "phase.response_per_k": 0.001,
    "phase.thermo_optic_per_k": 0.0002,
    "phase.dead_share": 0.01,
    "phase.crosstalk": 0.3,
    "environment.since_calibration_s": 3600.0,
    "environment.ambient_change_k": 1.0,
    "optics.rin_db_per_hz": -140.0,
    "optics.channel_spacing_nm": 0.8,
    "optics.channel_isolation_db": 30.0,
    "optics.modulator_response": "sine",
    "detector.gain_error": 0.01,
    "detector.offset_error": 0.01,
    "converters.adc_enob": 6.5,
    "converters.adc_rounding": "stochastic",
    "wavelengths": 2,
}
JITTER = 0.001  # rad; making its sessions takes ten times as long
SAMPLES = 7
CUT = 3  # samples that an interrupted run has finished

#: One process: 7 samples at once and one by one, and the parts of a run that was cut short.
_RUNS = """
import hashlib, json, sys
import numpy as np
import photonpu

path, noises, count, cut = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
program = photonpu.Program.load(path)
(info,) = program.inputs
x = np.random.default_rng(1).normal(size=(count, *info.shape[1:])).astype(np.float32)


def run(session, batch, low, high):
    parts = [
        session.run(None, {info.name: x[i : min(i + batch, high)]}, first=i)[0]
        for i in range(low, high, batch)
    ]
    return np.concatenate(parts)


found = {}
for noise, sampling in noises:
    session = photonpu.Session(program, noise, chip=2, seed=5, sampling=sampling)
    for batch in (1, count):
        begun = run(session, batch, 0, cut)
        rest = run(session, batch, cut, count)
        whole = run(session, batch, 0, count)
        found[f"{noise} {sampling} {batch}"] = [
            hashlib.sha256(part.tobytes()).hexdigest() for part in (whole, begun, rest)
        ]
print(json.dumps(found))
"""


def digests(
    path: Path, noises: list[tuple[str, str]], threads: int
) -> dict[str, tuple[str, str, str]]:
    """Run a program in a process of its own; return hashes of the whole and of both parts."""
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _RUNS, str(path), json.dumps(noises), str(SAMPLES), str(CUT)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | paths | dict.fromkeys(names, str(threads)),
    )
    return {name: tuple(hashes) for name, hashes in json.loads(done.stdout).items()}


def check(path: Path, noises: list[tuple[str, str]]) -> None:
    """Hold every way to run a program to one set of bits for each kind of noise.

    Parts of either process go with parts of the other: a run that was interrupted after the first
    samples and taken up by another process, with other threads and batches, has the same bits.
    """
    one, two = digests(path, noises, 1), digests(path, noises, 2)
    for noise, sampling in noises:
        ways = [run[f"{noise} {sampling} {batch}"] for run in (one, two) for batch in (1, SAMPLES)]
        assert set(ways) == {ways[0]}, (noise, sampling)
    assert len(set(one.values())) == len(noises)


def small_unet(jitter_rad: float) -> photonpu.Program:
    """Compile a U-Net of one level, with transposed convolutions, for a machine of all noise."""
    size = UNet(in_channels=1, features=2, levels=1)
    model = to_onnx(size, random_weights(size, 0), name="small", height=24, width=24)
    assert any(node.op_type == "ConvTranspose" for node in model.graph.node)
    machine = photonpu.Machine.preset("mzi64-eo").override(
        {**ALL_NOISE, "mesh.ports": 4, "phase.jitter_rad": jitter_rad}
    )
    images = np.random.default_rng(0).normal(size=(3, 1, 24, 24)).astype(np.float32)
    return photonpu.compile(model, machine, calibration=images)


@pytest.mark.slow
def test_every_source_of_noise_acts_on_the_network_that_is_compared() -> None:
    program = small_unet(JITTER)
    x = {"image": np.random.default_rng(1).normal(size=(1, 1, 24, 24)).astype(np.float32)}

    def run(*noise: str) -> np.ndarray:
        return photonpu.Session(program, frozenset(noise), chip=2).run(None, x)[0]

    alone = run("splitter")
    for source in NOISES:
        other = run("splitter", source) if source != "splitter" else run("adc")
        assert (other != alone).any(), source  # all else is drawn alike


@pytest.mark.parametrize("jitter", [0.0, pytest.param(JITTER, marks=pytest.mark.slow)])
def test_threads_batches_processes_and_interruptions_change_no_bit(
    jitter: float, tmp_path: Path
) -> None:
    path = tmp_path / "small.ppu"
    small_unet(jitter).save(path)

    check(path, [("full", sampling) for sampling in SAMPLINGS])


@pytest.mark.slow
@pytest.mark.parametrize("ports", [16, 64])
def test_the_shipped_network_has_the_same_bits_in_every_mode(ports: int, tmp_path: Path) -> None:
    path = tmp_path / "tumour.ppu"
    machine = photonpu.Machine.preset("mzi64-eo").override({"mesh.ports": ports})
    images = np.random.default_rng(0).normal(size=(2, 1, 128, 128)).astype(np.float32)
    photonpu.compile(zoo.model_path("tumour-unet"), machine, calibration=images).save(path)

    check(path, [("ideal", "exact"), ("quantised", "exact"), *(("full", s) for s in SAMPLINGS)])
