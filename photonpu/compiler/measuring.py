"""What the converters of each product must represent, over all runs of the float network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import activations, calibrate
from photonpu.compiler.activations import FactorRanges
from photonpu.compiler.calibrate import Ranges
from photonpu.compiler.meanwhile import Aside, Task
from photonpu.compiler.ranges import Rule
from photonpu.hardware import Machine
from photonpu.program.tiles import one_blas_thread

if TYPE_CHECKING:
    from photonpu.compiler.placement import Factors, Layer

Array = NDArray[np.generic]
#: A run of the float network: gives its tensors one by one.
Run = Callable[[], Iterable[tuple[str, Array]]]


class Observed(NamedTuple):
    """What one run of the float network shows: every tensor's shape and type."""

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype[np.generic]]

    def note(self, name: str, value: object) -> bool:
        """Add what one tensor shows; return whether it shows anything."""
        if not isinstance(value, np.ndarray | np.generic):
            return False
        self.shapes[name], self.dtypes[name] = value.shape, value.dtype
        return True


def observe(values: Iterable[tuple[str, object]]) -> Observed:
    """Note the shape and type of every tensor of a run; sequences and the like have neither."""
    found = Observed({}, {})
    for name, value in values:
        found.note(name, value)
    return found


@dataclass(frozen=True, slots=True)
class Measured:
    """What the runs so far ask of converters, by the node's name.

    Attributes
    ----------
    ranges, factor_ranges
        Of products with constant matrices, and of those of two activations.
    shown
        The tensors of the first run.
    empty
        Names for which it gave none.
    """

    ranges: dict[str, Ranges] = field(default_factory=dict)
    factor_ranges: dict[str, FactorRanges] = field(default_factory=dict)
    shown: Observed = field(default_factory=lambda: Observed({}, {}))
    empty: set[str] = field(default_factory=set)

    def widen(self, layer: Layer, found: Ranges) -> None:
        """Let the ranges of a product hold what one more run found."""
        name = layer.node.name
        self.ranges[name] = calibrate.widen(self.ranges.get(name), found)

    def measure(
        self, pair: Factors, values: Mapping[str, Array], machine: Machine, rule: Rule
    ) -> None:
        """Let the ranges of a product of two activations hold one more run."""
        name = pair.node.name
        known = self.factor_ranges.get(name)
        self.factor_ranges[name] = activations.measure(pair.product, values, machine, rule, known)


def in_turn(
    layers: Sequence[Layer],
    products: Sequence[Factors],
    runs: Iterable[Run],
    machine: Machine,
    rule: Rule,
) -> Measured:
    """Measure tensor by tensor on all threads; none is held that no product waits for."""
    from photonpu.compiler.kernels_sums import largest_sums

    found = Measured()
    for number, run in enumerate(runs):
        held: dict[str, Array] = {}
        waiting = [(pair, {pair.product.left, pair.product.right}) for pair in products]
        for name, value in run():
            if number == 0 and not found.shown.note(name, value):
                found.empty.add(name)
            for layer in layers:
                if layer.product.input == name:
                    with one_blas_thread():
                        found.widen(layer, _measure(layer, value, rule, largest_sums))
            for pair, names in waiting:
                if name in names:
                    held[name] = value
                    if names <= held.keys():
                        found.measure(pair, held, machine, rule)
            open_names = {n for _, names in waiting if not names <= held.keys() for n in names}
            held = {n: v for n, v in held.items() if n in open_names}
    return found


def beside(
    layers: Sequence[Layer],
    products: Sequence[Factors],
    runs: deque[Run],
    machine: Machine,
    rule: Rule,
    aside: Aside,
    step: Callable[[], bool],
) -> Measured:
    """Do the same where tensors can be held, each product on one thread, beside other work.

    Parameters
    ----------
    layers, products, machine, rule
        As for `in_turn`.
    runs
        These are taken off: what one has found may be large.
    aside
        Runs the network and measures.
    step
        Does some of the other work; says whether there may be more.
    """
    found, looks = Measured(), deque[Task[_Look]]()
    with one_blas_thread():  # all the time: threads must not let go of it for each other
        while True:
            while runs and len(looks) <= aside.workers:
                look_at = partial(_look, runs.popleft(), layers, products, rule, aside)
                looks.append(aside.start(look_at))
                del look_at  # tensors go as soon as they are measured
            if not looks:
                return found
            look = aside.result(looks.popleft(), step)
            if not found.shown.shapes:
                found = replace(found, shown=look.shown, empty=look.empty)
            for layer, task in zip(layers, look.tasks, strict=True):
                found.widen(layer, aside.result(task, step))
            for pair in products:
                found.measure(pair, look.factors, machine, rule)


class _Look(NamedTuple):
    """What one run shows, the tasks that measure it for each layer, and the factors in it."""

    shown: Observed
    empty: set[str]
    tasks: list[Task[Ranges]]
    factors: dict[str, Array]


def _look(
    run: Run, layers: Sequence[Layer], products: Sequence[Factors], rule: Rule, aside: Aside
) -> _Look:
    """Run the network, and let its tensors be measured."""
    from photonpu.compiler.kernels_sums import largest_sums_alone

    values = dict(run())
    tasks = [
        aside.start(partial(_measure, layer, values[layer.product.input], rule, largest_sums_alone))
        for layer in layers
    ]
    names = {name for pair in products for name in (pair.product.left, pair.product.right)}
    shown = observe(values.items())
    empty = values.keys() - shown.shapes.keys()
    return _Look(shown, empty, tasks, {name: values[name] for name in names})


def _measure(layer: Layer, value: Array, rule: Rule, largest: calibrate.Largest) -> Ranges:
    return calibrate.measure(value, layer.product.geometry, layer.tiles, rule, largest)
