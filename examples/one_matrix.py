"""One matrix on one chip: how the error of a product grows with the phase error, alone.

Run it with ``python examples/one_matrix.py``; ``noise="full"`` has all other sources, too.
"""

import numpy as np

import photonpu

draw = np.random.default_rng(0)
weights = draw.standard_normal((48, 96))
vector = draw.standard_normal(96)
exact = weights @ vector

for error_rad in (0.0, 0.003, 0.01, 0.03):
    machine = photonpu.Machine.preset("mzi64-eo").override({"phase.error_rad": error_rad})
    matrix = photonpu.PhotonicMatrix(weights, machine, noise={"phase"})
    product = matrix @ vector
    relative = np.linalg.norm(product - exact) / np.linalg.norm(exact)
    print(f"phase error {error_rad:5.3f} rad: relative error {relative:.4f}")
