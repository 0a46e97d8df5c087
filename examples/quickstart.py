"""Compile the shipped U-Net, run one slice on a noisy chip, and ask what it costs.

Run it with ``python examples/quickstart.py``.
"""

import numpy as np

import photonpu
from photonpu.models.zoo import evaluation_set, model_path

dataset = photonpu.load_dataset(evaluation_set())  # synthetic lesions
machine = photonpu.Machine.preset("mzi64-eo").override({"phase.error_rad": 0.005})
program = photonpu.compile(model_path("tumour-unet"), machine, calibration=dataset.images[:8])

exact = photonpu.Session(program, noise="ideal")
noisy = photonpu.Session(program, noise="full", chip=0, seed=0)
feeds = {"image": dataset.images[:1]}
difference = np.abs(noisy.run(None, feeds)[0] - exact.run(None, feeds)[0]).max()
cost = photonpu.estimate(program)

print(f"{len(program.tiles)} tiles of {machine.mesh.ports} ports")
print(f"largest change of a pixel's probability: {difference:.3f}")
print(f"{1e6 * cost.latency_s:.1f} µs, {1e6 * cost.energy_j:.0f} µJ a slice")
