"""Write the manual's tables from the tables of the code, before Sphinx reads the pages."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from sphinx.application import Sphinx


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _table(header: list[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [_row(header), _row("---" for _ in header), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """Return a value as a machine's file has it."""
    return "`none`" if value is None else f"`{value}`"


def _first_line(value: object) -> str:
    return (value.__doc__ or "").strip().splitlines()[0].replace("``", "`")


def _noises() -> str:
    from photonpu.simulator import NOISES

    rows = (
        (
            f"`{noise.name}`",
            noise.place,
            ", ".join(f"`{field}`" for field in noise.parameter.split(", ")),
            noise.unit,
            noise.equation,
            "any" if noise.scales else "on, off",
            noise.source,
        )
        for noise in NOISES.values()
    )
    header = ["name", "acts on", "machine's fields", "unit", "what it does", "strength", "source"]
    return _table(header, rows)


def _limits() -> str:
    import dataclasses

    from photonpu.compiler.untrusted.limits import Limits

    meanings = _attributes(Limits)
    rows = (
        (f"`{entry.name}`", meanings[entry.name], _power(entry.default), entry.metadata["reason"])
        for entry in dataclasses.fields(Limits)
    )
    return _table(["limit", "what it bounds", "default", "why that much"], rows)


def _attributes(value: type) -> dict[str, str]:
    """Return what a class's docstring says of each attribute."""
    text = inspect.cleandoc(value.__doc__ or "").split("Attributes\n----------\n")[1]
    parts = re.split(r"^(\w+)\n", text.split("\n\n")[0], flags=re.MULTILINE)[1:]
    return {
        name: " ".join(said.split()) for name, said in zip(parts[::2], parts[1::2], strict=True)
    }


def _power(number: float) -> str:
    """Return a number as people would say it."""
    bits = int(number).bit_length() - 1
    return f"2^{bits}" if number == 2**bits and bits > 9 else f"{number:,}"


def _lowerings() -> str:
    from photonpu.compiler.supported import on_mesh

    rows = ((f"`{op}`", text) for op, text in on_mesh().items())
    return _table(["operator", "on the mesh as"], rows)


def _operations() -> str:
    from photonpu.compiler.supported import digital, others

    operators: dict[str, list[str]] = {}
    for op, cost in digital().items():
        operators.setdefault(cost, []).append(f"`{op}`")
    rows = [(", ".join(ops), cost) for cost, ops in operators.items()]
    return _table(["operators", "cost"], [*rows, ("any other", others())])


def _remedies() -> str:
    from photonpu.compiler.remedies import OPERATORS

    operators: dict[str, list[str]] = {}
    for op, remedy in OPERATORS.items():
        operators.setdefault(remedy, []).append(f"`{op}`")
    rows = ((", ".join(ops), remedy) for remedy, ops in operators.items())
    return _table(["operators", "what to change"], rows)


def _stages() -> str:
    from photonpu.compiler.stages import STAGES

    rows = (
        (f"`{name}`", _first_line(stage).removeprefix("Return ")) for name, stage in STAGES.items()
    )
    return _table(["stage", "what is printed"], rows)


def _machine_fields() -> str:
    from photonpu import Machine

    rows = (
        (f"`{field.path}`", field.type, _value(field.default), field.unit, field.description)
        for field in Machine.fields()
    )
    return _table(["key", "type", "default", "unit", "meaning"], rows)


def _presets() -> str:
    from photonpu import Machine

    machines = [(name, Machine.preset(name)) for name in Machine.presets()]
    overview = _table(
        ["name", "ports", "cores", "clock", "what it is"],
        (
            (f"`{name}`", m.mesh.ports, m.cores, f"{m.clock_ghz:g} GHz", m.description)
            for name, m in machines
        ),
    )
    parts = [overview]
    for name, machine in machines:
        rows = ((f"`{k}`", _value(machine.get(k)), text) for k, text in machine.sources.items())
        parts.append(f"### {name}\n\n" + _table(["key", "value", "source"], rows))
    return "\n".join(parts)


def _meshes() -> str:
    from photonpu.mesh import MESHES

    rows = []
    for name, mesh in MESHES.items():
        counts = mesh.counts(64)
        path = f"{counts.path_min} / {counts.path_mean:.3g} / {counts.path_max}"
        loss = " / ".join(f"{loss:.3g}" for loss in counts.loss_db(0.2))
        parts = (counts.mzis, counts.shifters, counts.depth, path, loss)
        universal = "of real matrices" if mesh.real else "yes" if mesh.universal else "no"
        rows.append((f"`{name}`", mesh.summary, *parts, universal, mesh.source))
    header = ["name", "what it is", "MZIs", "shifters", "columns", "MZIs on a path", "dB"]
    legend = "64 ports; shortest, mean and longest path, and their loss at 0.2 dB an MZI:\n\n"
    return legend + _table([*header, "universal", "source"], rows)


def _conventions() -> str:
    from photonpu.mesh.conventions import CONVENTIONS

    rows = (
        (f"`{name}`", ", ".join(f"`{part}`" for part in entry.names), entry.outer, entry.source)
        for name, entry in CONVENTIONS.items()
    )
    return _table(["name", "parameters", "outer phase on the", "source"], rows)


def _models() -> str:
    from photonpu.models.zoo import MODELS

    rows = ((f"`{name}`", m.summary, m.licence, m.file or "built") for name, m in MODELS.items())
    return _table(["name", "what it is", "licence", "file"], rows)


def _datasets() -> str:
    from photonpu.models.datasets import DATASETS

    rows = ((f"`{name}`", f"`{layout.holds}`") for name, layout in DATASETS.items())
    return _table(["format", "layout"], rows)


def _metrics() -> str:
    from photonpu.models.metrics import METRICS

    return _table(
        ["name", "meaning"], ((f"`{n}`", _first_line(metric)) for n, metric in METRICS.items())
    )


FRAGMENTS: dict[str, Callable[[], str]] = {
    "conventions": _conventions,
    "datasets": _datasets,
    "limits": _limits,
    "lowerings": _lowerings,
    "machine_fields": _machine_fields,
    "meshes": _meshes,
    "metrics": _metrics,
    "models": _models,
    "noises": _noises,
    "operations": _operations,
    "presets": _presets,
    "remedies": _remedies,
    "stages": _stages,
}


def write(app: Sphinx) -> None:
    """Write each fragment to the folder that the pages include from."""
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    for name, make in FRAGMENTS.items():
        (folder / f"{name}.md").write_text(make(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
