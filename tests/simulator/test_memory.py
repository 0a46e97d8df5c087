"""A session stays below the ceiling it is given, with the same bits, or says that it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import numpy.testing as npt
import pytest

import photonpu
from photonpu.errors import InputError
from photonpu.hardware import Machine
from photonpu.models.unet import UNet, random_weights, to_onnx
from photonpu.simulator import flow, memory
from photonpu.simulator.memory import Needs

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 8, "cores": 2})
NEEDS = Needs(
    program=100_000_000,
    preparation=20_000_000,
    sample=5_000_000,
    tensors=40_000_000,
    fullest="digital/3",
    slab=1_000_000,
    kept=80_000_000,
)


def unet(side: int) -> tuple[photonpu.Program, np.ndarray]:
    """Compile a tiny U-Net, calibrated on three images, which are returned."""
    size = UNet(in_channels=1, features=2, levels=2)
    model = to_onnx(size, random_weights(size, 0), name="tiny", height=side, width=side)
    images = np.random.default_rng(0).normal(size=(3, 1, side, side)).astype(np.float32)
    return photonpu.compile(model, MACHINE, calibration=images), images


def test_a_tight_ceiling_changes_no_bit() -> None:
    program, images = unet(64)
    needed = memory.needs(program)
    tight = needed.least(3) / 1e6

    outputs = [
        photonpu.Session(program, seed=3, memory_limit_mb=limit).run(None, {"image": images})
        for limit in (tight, None)
    ]

    assert memory.plan(needed, tight, 3).together == 1
    (small,), (large,) = outputs
    npt.assert_array_equal(small, large)


def test_what_does_not_fit_is_refused_before_anything_is_made() -> None:
    program, _ = unet(64)

    with pytest.raises(InputError, match=r"memory_limit_mb=0\.1: one sample of this program need"):
        photonpu.Session(program, memory_limit_mb=0.1)


def test_a_batch_that_does_not_fit_is_refused_with_what_would_do() -> None:
    message = r"100 samples of this program need 641 MB: .* one sample at 'digital/3'; raise"

    with pytest.raises(InputError, match=message):
        memory.plan(NEEDS, 300, 100)


# 100 + 4 x 5 + 1 MB are taken by program, inputs, outputs and slab; 40 MB go for each sample.
@pytest.mark.parametrize(("limit_mb", "together"), [(161, 1), (200, 1), (201, 2), (300, 4)])
def test_as_many_samples_go_together_as_fit(limit_mb: int, together: int) -> None:
    assert memory.plan(NEEDS, limit_mb, 4).together == together


def test_memory_is_kept_between_runs_only_where_there_is_room_for_it() -> None:
    assert memory.lean(NEEDS, 300)
    assert not memory.lean(NEEDS, 3000)
    assert not memory.lean(replace(NEEDS, kept=0), 500)


def test_tensors_are_forgotten_after_their_last_reader() -> None:
    program, _ = unet(16)
    steps = program.steps

    forgotten = flow.last_reads(program)

    names = [name for index in sorted(forgotten) for name in forgotten[index]]
    assert len(names) == len(set(names))
    assert "mask_probability" not in names
    for index, gone in forgotten.items():
        later = {name for step in steps[index + 1 :] for name in getattr(step, "inputs", ())}
        assert not later & set(gone)


_MEASURED = """
import hashlib, re, sys
import numpy as np
import photonpu
from photonpu.simulator import flow, memory

program = photonpu.Program.load(sys.argv[1])
x = np.random.default_rng(0).normal(size=(1, 1, 1024, 1024)).astype(np.float32)
session = photonpu.Session(program, memory_limit_mb=float(sys.argv[2]))
matrix = photonpu.PhotonicMatrix(np.eye(8), program.machine, noise="full")
matrix @ np.ones((8, 999), np.float32)  # loads what is compiled


def read(key):
    with open("/proc/self/status") as file:
        return int(re.search(key + r":\\s+(\\d+)", file.read()).group(1)) / 1e3
before = read("VmRSS")
found = session.run(None, {"image": x})[0]
print(read("VmHWM") - before, hashlib.sha256(found.tobytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_the_ceiling_holds_for_a_large_image(tmp_path: object) -> None:
    program, _ = unet(1024)
    path = f"{tmp_path}/program.ppu"
    program.save(path)
    least = memory.needs(program).least(1) / 1e6

    peaks, bits = [], []
    for limit in (20.0 * least, 1.2 * least, 20.0 * least):  # the first may compile kernels
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, path, str(limit)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        peak, digest = done.stdout.split()
        peaks.append(float(peak))
        bits.append(digest)

    assert len(set(bits)) == 1
    assert peaks[1] < 1.2 * least + 30  # what onnxruntime loads on its first run
    assert peaks[1] < peaks[2]
