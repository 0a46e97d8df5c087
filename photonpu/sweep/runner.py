"""Sweep a network over machines: the real compile, estimate and evaluation behind each point."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import photonpu
from photonpu.errors import PhotonpuWarning, SweepError
from photonpu.hardware import Machine
from photonpu.models.kept import fingerprint
from photonpu.models.metrics import METRICS
from photonpu.sweep.points import COMPILED_FOR, RANGED_FOR, Work, run
from photonpu.sweep.space import grid, settle
from photonpu.sweep.store import Store
from photonpu.sweep.study import Interval, Outcome, Study

if TYPE_CHECKING:
    import onnx

    from photonpu.compiler.untrusted.checked import Checked
    from photonpu.models.datasets import Dataset
    from photonpu.program import Program
    from photonpu.simulator.noise import Named

CALIBRATION_SAMPLES = 8


def sweep(
    model: str | Path | bytes | onnx.ModelProto | Checked,
    machine: str | Path | Machine,
    space: Mapping[str, Sequence[object]],
    *,
    dataset: Dataset | None = None,
    metrics: Sequence[str] = ("dice",),
    chips: int = 3,
    noise: Named = "full",
    seed: int = 0,
    threshold: float = 0.5,
    sampling: str = "exact",
    store: str | Path | None = "sweep.sqlite",
    quiet: bool = False,
    calibration_method: str = "max",
    calibration_per: str = "tile",
    memory_limit_mb: float | None = None,
) -> Study:
    """Estimate a network, and evaluate it if there is a dataset, on every machine of a grid.

    Parameters
    ----------
    model
        An ONNX model: path, bytes or proto.
    machine
        What all points have in common: a machine, the name of a preset, or a TOML file.
    space
        Values to try for each key of the machine, as in ``{"mesh.ports": [16, 32, 64]}``; the
        points are all combinations, the last key varying fastest.
    dataset
        Images with masks. Without it only latency, energy and area are found. The ranges of the
        converters are calibrated on its first images, never on its masks.
    metrics
        Names of entries of `METRICS`.
    chips
        Fabricated instances to evaluate on.
    noise, seed, threshold, sampling
        As in `evaluate`.
    store
        SQLite file that keeps finished points, so that a rerun goes on where this run stops;
        None keeps nothing.
    quiet
        Show no progress.
    calibration_method, calibration_per
        How ranges of converters are set, as in `photonpu.compile`.
    memory_limit_mb
        As in `evaluate`; no result depends on it.

    Returns
    -------
    Study
        One point for each machine. A machine that cannot be built (its link budget does not
        close, for one) is a point with an error.

    Raises
    ------
    MachineError
        A key that the machine does not have, or a value that it refuses.
    SweepError
        Nothing to vary, or a store that does not read.
    StorageError
        The store cannot be written.
    ModelError
        The model does not read.
    InputError
        There is no such rule of calibration.
    """
    from photonpu.compiler import compile, reader, weights
    from photonpu.compiler.ranges import Rule
    from photonpu.compiler.untrusted.checked import Checked
    from photonpu.models.evaluation import evaluate
    from photonpu.simulator import estimate
    from photonpu.simulator.strengths import described, strengths

    base = Machine.of(machine)
    settled = settle(space, base)
    names = tuple(dict.fromkeys(metrics)) if dataset is not None else ()
    for name in names:
        METRICS[name]
    if chips < 1:
        raise SweepError(f"chips={chips}: a point is evaluated on 1 chip or more")
    name = Path(model).stem if isinstance(model, str | Path) else "model"
    checked = model if isinstance(model, Checked) else Checked(reader.read(model), name)
    subject: dict[str, object] = {
        "photonpu": photonpu.__version__,
        "model": weights.digest(checked.proto),
    }
    rule = Rule.of(calibration_method, calibration_per)
    samples = None
    if dataset is not None:
        samples = dataset.images[:CALIBRATION_SAMPLES]
        subject |= {
            "dataset": fingerprint(dataset.images, dataset.masks, dataset.spacing_mm),
            "calibration samples": CALIBRATION_SAMPLES,
            "metrics": names,
            "chips": chips,
            "noise": described(noise),
            "strengths": fingerprint(strengths(noise)),
            "sampling": sampling,
            "seed": seed,
            "threshold": threshold,
            **({"calibration rule": str(rule)} if rule != Rule() else {}),
        }

    def measure(program: Program, at: Machine) -> Outcome:
        cost = estimate(program, machine=at)
        intervals = {}
        if dataset is not None:
            found = evaluate(
                program,
                dataset,
                names,
                chips,
                noise=noise,
                seed=seed,
                machine=at,
                threshold=threshold,
                sampling=sampling,
                baseline=False,
                ideal=False,
                quiet=True,
                memory_limit_mb=memory_limit_mb,
            )
            scores = {name: found.score("noisy", name) for name in names}
            intervals = {name: Interval(s.mean, *s.interval) for name, s in scores.items()}
        return Outcome(
            metrics=intervals,
            latency_s=cost.latency_s,
            energy_j=cost.energy_j,
            power_w=cost.power_w,
            area_mm2=cost.area_mm2,
            tiles=len(program.tiles),
        )

    def make(at: Machine) -> Program:
        with unranged() if samples is None else contextlib.nullcontext():
            return compile(
                checked,
                at,
                calibration=samples,
                calibration_method=calibration_method,
                calibration_per=calibration_per,
            )

    ranged_for = RANGED_FOR if rule.method == "mse" else ()
    work = Work(make, measure, subject, COMPILED_FOR + ranged_for)
    with Store(store) as opened:
        points = run(grid(settled), base, work, opened, quiet=quiet)
    return Study(tuple(settled), names, points)


@contextlib.contextmanager
def unranged() -> Iterator[None]:
    """Keep the compiler from warning of ranges without data, where only costs are asked for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "converter ranges", PhotonpuWarning)
        yield
