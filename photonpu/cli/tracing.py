"""What each layer does beside the float network, for ``photonpu simulate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from photonpu.cli.output import emit, make_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from photonpu.models.datasets import Dataset
    from photonpu.program import Program
    from photonpu.simulator import Session

    Arrays = Mapping[str, NDArray[np.generic]]

CASES = 4


def arrays_of(program: Program, dataset: Dataset) -> Arrays:
    """Return some cases of a dataset as a program takes them.

    Raises
    ------
    InputError
        It does not take these images.
    """
    from photonpu.models.segmenting import cases_of_program

    count = min(CASES, cases_of_program(program, dataset))
    info = program.inputs[0]
    return {info.name: dataset.images[:count].astype(info.dtype)}


def show(
    session: Session,
    feeds: Arrays,
    seed: int,
    *,
    attribute: bool,
    pictures: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Tell of each layer's error, or with `attribute` of each noise source's.

    Raises
    ------
    StorageError
        The folder or the picture cannot be written.
    """
    from photonpu.simulator.trace import Trace

    if attribute:
        _attribute(session, feeds, seed, quiet=quiet, as_json=as_json)
        return
    found = Trace()
    session.run(None, feeds, trace=found)
    if pictures is not None:
        from photonpu.report.layers import draw_layers

        make_folder(pictures)
        draw_layers(found.layers).save(pictures / "layers.png")
    emit(found.to_dict(), f"{found.table()}\n\n{found.bars()}", as_json=as_json)


def _attribute(session: Session, feeds: Arrays, seed: int, *, quiet: bool, as_json: bool) -> None:
    """Run with each source alone and with all but each, and tell of each layer."""
    from photonpu.simulator import attribution

    found = attribution.attribute(
        session.program,
        feeds,
        session.strengths,
        session.chip,
        seed,
        machine=session.machine,
        quiet=quiet,
    )
    emit(found.to_dict(), found.table(), as_json=as_json)
