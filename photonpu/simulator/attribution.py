"""Which noise source causes how much: each alone, and all but each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.program import Program
from photonpu.progress import progress
from photonpu.simulator.host import HostRunner
from photonpu.simulator.noise import Named
from photonpu.simulator.session import Session
from photonpu.simulator.strengths import strengths
from photonpu.simulator.trace import Trace
from photonpu.tables import text_table


@dataclass(frozen=True, slots=True)
class Share:
    """How far one layer, or one output, is from the float network's; relative, RMS.

    Attributes
    ----------
    name
        The layer: its own error, given the float network's input. Or an output of the network,
        with the errors of all layers in it.
    all
        With all sources.
    alone
        With each source by itself.
    without
        With all sources but each.
    """

    name: str
    all: float
    alone: Mapping[str, float]
    without: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Attribution:
    """Which source causes how much.

    Attributes
    ----------
    sources
        Their names.
    layers
        One entry a layer on the mesh, in order.
    outputs
        One entry an output of the network.
    """

    sources: tuple[str, ...]
    layers: tuple[Share, ...]
    outputs: tuple[Share, ...]

    def table(self) -> str:
        """Return two tables: errors with each source alone, and without each."""
        tables = [
            f"{title}\n" + text_table(["layer", "all", *self.sources], self._rows(kind))
            for kind, title in (
                ("alone", "relative error with each source alone"),
                ("without", "relative error with all sources but one"),
            )
        ]
        legend = "layers by themselves, given the float network's input; outputs of all layers"
        return "\n\n".join([*tables, legend])

    def _rows(self, kind: str) -> list[list[str]]:
        entries = [*self.layers, *self.outputs]
        return [
            [entry.name, f"{entry.all:.1e}"]
            + [f"{getattr(entry, kind)[source]:.1e}" for source in self.sources]
            for entry in entries
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain values."""
        return {
            "sources": list(self.sources),
            "layers": [asdict(entry) for entry in self.layers],
            "outputs": [asdict(entry) for entry in self.outputs],
        }


def attribute(
    program: Program,
    feeds: Mapping[str, NDArray[Any]],
    noise: Named = "full",
    chip: int | Chip = 0,
    seed: int = 0,
    *,
    machine: Machine | None = None,
    quiet: bool = True,
) -> Attribution:
    """Run a network with each noise source alone and with all but each.

    Errors of independent sources add as squares: what is lost without a source is about what it
    causes alone, but for rounding, which other noise may hide.

    Parameters
    ----------
    program
        The network.
    feeds
        An array for each input.
    noise, chip, seed, machine
        As in `photonpu.Session`.
    quiet
        Show no progress.

    Raises
    ------
    InputError
        `noise` has no source, or anything that `photonpu.Session` refuses.
    """
    found = strengths(noise)
    if not found:
        raise InputError(f"noise={noise!r} has no source: there is nothing to attribute")
    cases: dict[tuple[str, str], dict[str, float | NDArray[Any]]] = {("all", ""): found}
    for name, strength in found.items():
        cases["alone", name] = {name: strength}
        cases["without", name] = {n: s for n, s in found.items() if n != name}
    traces: dict[tuple[str, str], Trace] = {}
    hosts: Mapping[str, HostRunner] | None = None
    trace = Trace()
    with progress("attribute", len(cases), quiet=quiet) as tell:
        for key, some in cases.items():
            session = Session(program, some, chip, seed, machine=machine, hosts=hosts)
            hosts = session.hosts
            trace = traces[key] = trace.fresh()
            session.run(None, feeds, trace=trace)
            tell(1)
    own = {key: {x.name: x.own for x in trace.layers} for key, trace in traces.items()}
    outputs = {key: trace.outputs for key, trace in traces.items()}
    names = tuple(found)
    return Attribution(names, _shares(own, names), _shares(outputs, names))


def _shares(
    errors: Mapping[tuple[str, str], Mapping[str, float]], sources: tuple[str, ...]
) -> tuple[Share, ...]:
    """Turn errors by case and name into one entry a name."""
    return tuple(
        Share(
            name,
            error,
            {source: errors["alone", source][name] for source in sources},
            {source: errors["without", source][name] for source in sources},
        )
        for name, error in errors["all", ""].items()
    )
