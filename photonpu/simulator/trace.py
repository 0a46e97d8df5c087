"""What each layer gives beside the float network: errors, clipping, and how ranges are used.

Errors are root mean squares relative to the float network's, as a share: ``|y - f| / |f|``. The
float network is that of the ideal machine; for a program that was compiled for one chip, that chip
without noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photonpu.program import PhotonicStep, ReprogrammedStep, TileBank, windows
from photonpu.simulator import kernels_layout
from photonpu.tables import text_table

if TYPE_CHECKING:
    from photonpu.simulator.memory import Plan
    from photonpu.simulator.session import Session

Array = NDArray[Any]

VECTORS = 1024  # of each batch that clipping is looked for in, evenly spaced


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """One layer on the mesh beside the float network.

    Attributes
    ----------
    name, op
        The node and its ONNX operator.
    error
        Relative error of its output as the network runs: its own on top of all before it.
    own
        Relative error of its output where it is given the float network's input.
    input_clipped
        Share of its inputs beyond the range of the input DAC; None without that converter.
    adc_clipped
        Share of its partial sums beyond the range of their ADC, before noise of the detector;
        None without an ADC, and for a product of two activations.
    adc_use
        Largest partial sum of a tile over the range of its ADC, the mean over the tiles; of a tile
        with ranges for each row that of the row that uses its own most.
    """

    name: str
    op: str
    error: float
    own: float
    input_clipped: float | None
    adc_clipped: float | None
    adc_use: float | None

    @property
    def sqnr_db(self) -> float:
        """Power of the float output over the power of the error, dB; infinite without error."""
        return -20 * math.log10(self.error) if self.error else math.inf

    @property
    def enob(self) -> float:
        """Effective bits: those of the ideal converter of a sine wave with this ratio."""
        return (self.sqnr_db - 1.76) / 6.02


@dataclass(slots=True)
class _Sums:
    """Sums over all that was seen of one layer."""

    op: str
    float_power: float = 0.0
    error_power: float = 0.0
    own_power: float = 0.0
    inputs: int = 0
    inputs_clipped: int = 0
    samples: int = 0
    samples_clipped: int = 0
    use: NDArray[np.float64] | None = None


@dataclass(slots=True)
class Trace:
    """Takes down what layers give; hand an empty one to `Session.run`, several times if need be.

    Examples
    --------
    >>> trace = Trace()  # doctest: +SKIP
    >>> session.run(None, {"image": images}, trace=trace)  # doctest: +SKIP
    >>> print(trace.table())  # doctest: +SKIP
    """

    _sums: dict[str, _Sums] = field(default_factory=dict, repr=False)
    _outputs: dict[str, list[float]] = field(default_factory=dict, repr=False)
    _twin: Session | None = field(default=None, repr=False)

    @property
    def layers(self) -> tuple[LayerTrace, ...]:
        """What was found, by layer in order."""
        return tuple(
            LayerTrace(
                name=name,
                op=sums.op,
                error=_ratio(sums.error_power, sums.float_power),
                own=_ratio(sums.own_power, sums.float_power),
                input_clipped=sums.inputs_clipped / sums.inputs if sums.inputs else None,
                adc_clipped=sums.samples_clipped / sums.samples if sums.samples else None,
                adc_use=None if sums.use is None else float(sums.use.mean()),
            )
            for name, sums in self._sums.items()
        )

    @property
    def outputs(self) -> dict[str, float]:
        """Relative error of each of the network's outputs."""
        return {name: _ratio(*powers) for name, powers in self._outputs.items()}

    def table(self) -> str:
        """Return one line a layer, and one an output, as aligned text."""
        header = ["layer", "operator", "error", "own", "SQNR", "ENOB"]
        header += ["inputs clipped", "ADC clipped", "ADC range used"]
        rows = [
            [layer.name, layer.op, f"{layer.error:.2e}", f"{layer.own:.2e}"]
            + [f"{layer.sqnr_db:.1f} dB", f"{layer.enob:.2f}"]
            + [_percent(value) for value in (layer.input_clipped, layer.adc_clipped, layer.adc_use)]
            for layer in self.layers
        ]
        blank = [""] * (len(header) - 3)
        rows += [[name, "(output)", f"{error:.2e}", *blank] for name, error in self.outputs.items()]
        legend = (
            "error: of the output as the network runs, RMS relative to the float network; own: of "
            "the layer alone,\ngiven the float network's input"
        )
        return "\n".join([text_table(header, rows, "ll" + "r" * (len(header) - 2)), legend])

    def bars(self, width: int = 60) -> str:
        """Return the errors as text bars, on a scale from nothing to the largest.

        Parameters
        ----------
        width
            Characters of the longest bar.
        """
        layers = [layer for layer in self.layers if math.isfinite(layer.error)]
        largest = max((max(layer.error, layer.own) for layer in layers), default=0.0) or 1.0
        rows = [
            [layer.name, f"{layer.error:.1e}", _bar(layer.error, layer.own, largest, width)]
            for layer in layers
        ]
        legend = "# a layer's own error, - what the layers before it add"
        return "\n".join([text_table(["layer", "error", ""], rows, "lrl"), legend])

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain values."""
        return {
            "layers": [
                {**asdict(layer), "sqnr_db": layer.sqnr_db, "enob": layer.enob}
                for layer in self.layers
            ],
            "outputs": self.outputs,
        }

    def fresh(self) -> Trace:
        """Return an empty trace that goes beside the same float network."""
        return Trace(_twin=self._twin)

    def follow(
        self,
        session: Session,
        names: Sequence[str],
        feeds: Mapping[str, Array],
        first: int,
        plan: Plan,
    ) -> list[Array]:
        """Run a session's network and the float network side by side; `Session.run` calls this."""
        twin = self._beside(session)
        values, floats = dict(feeds), dict(feeds)
        for index, step in enumerate(session.program.steps):
            found = session.execute(step, values, first, plan)
            exact = twin.execute(step, floats, first, plan)
            if isinstance(step, PhotonicStep | ReprogrammedStep):
                own = session.execute(step, floats, first, plan)[step.output]
                self._note(session, step, (found[step.output], exact[step.output], own), values)
            values.update(found)
            floats.update(exact)
            for name in session.unread.get(index, ()):
                values.pop(name, None)
                floats.pop(name, None)
        for info in session.program.outputs:
            if np.issubdtype(values[info.name].dtype, np.floating):
                powers = self._outputs.setdefault(info.name, [0.0, 0.0])
                powers[0] += _power(values[info.name], floats[info.name])
                powers[1] += _power(floats[info.name])
        return [values[name] for name in names]

    def _beside(self, session: Session) -> Session:
        """Return the ideal session of the same program, made at the first run."""
        from photonpu.simulator.session import Session

        if self._twin is None or self._twin.program is not session.program:
            self._twin = Session(
                session.program,
                "ideal",
                session.chip,
                machine=session.machine,
                memory_limit_mb=session.memory_limit_mb,
                hosts=session.hosts,
            )
        return self._twin

    def _note(
        self,
        session: Session,
        step: PhotonicStep | ReprogrammedStep,
        outputs: tuple[Array, Array, Array],
        values: Mapping[str, Array],
    ) -> None:
        """Add what one step gave: as the network runs, in the float network, and by itself."""
        found, exact, own = outputs
        sums = self._sums.setdefault(step.name, _Sums(step.op))
        sums.error_power += _power(found, exact)
        sums.own_power += _power(own, exact)
        sums.float_power += _power(exact)
        read = (step.input,) if isinstance(step, PhotonicStep) else (step.left, step.right)
        streamed = read[-1] if getattr(step, "held", "") == "left" else read[0]
        if session.receiver.dac_levels:
            sums.inputs += values[streamed].size
            over = np.abs(values[streamed]) > step.input_range
            sums.inputs_clipped += int(np.count_nonzero(over))
        if isinstance(step, PhotonicStep) and session.receiver.adc_levels:
            use = _add_samples(sums, session, step, values[step.input])
            sums.use = use if sums.use is None else np.maximum(sums.use, use)


def _add_samples(
    sums: _Sums, session: Session, step: PhotonicStep, x: Array
) -> NDArray[np.float64]:
    """Count partial sums beyond their range; return the share that each tile uses of its own."""
    form = windows.channels_form(np.asarray(x, np.float32), step.geometry)
    shares = []
    for stream, (begin, end) in zip(step.geometry.streams, step.tiles, strict=True):
        bank = part(session.program.tiles, begin, end)
        matrices = session.transfers(bank).matrices
        chosen, thinned = windows.thinned(form, stream, VECTORS)
        vectors = windows.vectors(chosen, step.geometry, thinned)
        fields = kernels_layout.quantise(vectors, step.input_range, session.receiver.dac_levels)
        for tile in range(len(bank)):
            first, rows, columns = bank.column[tile], bank.rows[tile], bank.columns[tile]
            block = matrices[tile, :rows, :columns].astype(np.float32)
            sizes = np.abs(fields[:, first : first + columns] @ block.T)
            sums.samples += sizes.size
            ranges = bank.port_ranges[tile, :rows]
            sums.samples_clipped += int(np.count_nonzero(sizes > ranges))
            shares.append(float((sizes / ranges).max(initial=0.0)))
    return np.array(shares)


def part(bank: TileBank, begin: int, end: int) -> TileBank:
    """Return the tiles from `begin` to before `end`."""
    return TileBank(
        **{name: getattr(bank, name)[begin:end] for name in TileBank.__dataclass_fields__}
    )


def _bar(error: float, own: float, largest: float, width: int) -> str:
    """Return a bar as long as the error, marked as far as the layer's own error reaches."""
    length, marked = round(width * error / largest), round(width * own / largest)
    return "#" * marked + "-" * max(0, length - marked)


def _power(x: Array, less: Array | float = 0.0) -> float:
    """Return the sum of squares of a difference."""
    difference = np.asarray(x, np.float64) - less
    return float(np.vdot(difference, difference))


def _ratio(error: float, reference: float) -> float:
    """Return a relative root mean square; infinite where there is error and nothing to err from."""
    if reference > 0:
        return math.sqrt(error / reference)
    return math.inf if error else 0.0


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g} %"
