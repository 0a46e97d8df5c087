"""How large should a mesh be? Latency, energy and area of one network over its ports.

Run it with ``python examples/sweep_ports.py``; ``dataset=`` would add the accuracy.
"""

import photonpu
from photonpu.models.zoo import model_path

study = photonpu.sweep(
    model_path("tumour-unet"),
    "mzi64-eo",
    {"mesh.ports": [16, 32, 64]},
    store=None,  # a file name here makes the sweep resumable
)
print(study.table())

best = min(study.points, key=lambda point: point.outcome.energy_j)
print(f"least energy with {best.params['mesh.ports']} ports")
