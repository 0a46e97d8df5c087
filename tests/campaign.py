"""A process that examines damaged models, and a parent that survives what they do to it.

When the child dies, its parent notes the number and starts another behind it. By hand:
``python -m tests.campaign --from 0 --to 5000``, and ``--save 1234 > model.onnx`` for one model.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutations import mutate
from tests.seeds import load, write

ROOT = Path(__file__).resolve().parents[1]
#: A model may take this long, in s.
PATIENCE_S = 20
#: Memory that the child may take beyond what its imports take.
MEMORY_BYTES = 6 << 30
#: Of the models that reach the end, one in so many is also compiled.
COMPILED = 8
#: What each message must hold: a name in quotes, or a number (of bytes, of a version, of an axis).
NAMED = re.compile(r"'[^']*'|\d")

# ---- the child: one model after another


def examine(data: bytes, number: int) -> str:
    """Take a model as far as it goes, and say how far; raises what photonpu raises."""
    from photonpu.compiler import compile, reader
    from photonpu.compiler.lowerings import lower
    from photonpu.compiler.pipeline import simplified
    from photonpu.hardware import Machine

    proto = reader.read(data)
    graph = simplified(proto, {})
    for node in graph.nodes:
        lower(node, graph)
    if number % COMPILED:
        return "lowered"
    compile(proto, Machine.preset("ideal").override({"mesh.ports": 16}))
    return "compiled"


def work(folder: Path, first: int, last: int) -> None:
    """Examine the models `first` to `last` - 1; two lines of JSON for each on stdout."""
    from photonpu.errors import PhotonpuError

    warnings.simplefilter("ignore")
    seeds = load(folder)
    sound = dict(seeds)["own_chain"]
    examine(sound, 0)  # imports and compiles kernels, which the models needn't wait for
    _bound_memory()
    for number in range(first, last):
        print(json.dumps({"number": number}), flush=True)
        data = mutate(number, seeds)
        signal.alarm(PATIENCE_S)  # nobody handles it: it kills, native code included
        try:
            found = {"end": examine(data, number)}
        except PhotonpuError as error:
            found = {"end": type(error).__name__, "message": str(error)}
        except BaseException:
            found = {"end": "broken", "message": traceback.format_exc(limit=-6)}
        signal.alarm(0)
        print(json.dumps(found), flush=True)


def _bound_memory() -> None:
    import resource

    statm = Path("/proc/self/statm")
    taken = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, taken + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# ---- the parent


@dataclass(frozen=True)
class Finding:
    """A model that did what no model may do."""

    number: int
    what: str


@dataclass(frozen=True)
class Campaign:
    """What became of a range of models.

    Attributes
    ----------
    ends
        How many came to each end: the last stage, or the class of the error.
    findings
        Those that crashed, hung, raised something else, or got a message without a name.
    """

    ends: Mapping[str, int]
    findings: tuple[Finding, ...]


def run(folder: Path, first: int, last: int, worker: Sequence[str] = ()) -> Campaign:
    """Examine models in child processes, a new one behind each that dies."""
    ends: Counter[str] = Counter()
    findings = []
    command = list(worker) or [sys.executable, "-m", "tests.campaign", "--work", str(folder)]
    while first < last:
        child = subprocess.run(
            [*command, "--from", str(first), "--to", str(last)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        lines = child.stdout.split(b"\n")[:-1]
        records = [json.loads(line) for line in lines if line.startswith(b"{")]
        reached = first - 1
        for record in records:
            if "number" in record:
                reached = record["number"]
                continue
            ends[record["end"]] += 1
            if record["end"] == "broken" or (
                "message" in record and not NAMED.search(record["message"])
            ):
                findings.append(Finding(reached, record["message"]))
        if child.returncode == 0:
            break
        ends["died"] += 1
        findings.append(Finding(reached, _death(child.returncode)))
        first = reached + 1 if reached >= first else last
    return Campaign(ends, tuple(findings))


def _death(code: int) -> str:
    if code == -signal.SIGALRM:
        return f"took more than {PATIENCE_S} s"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def main() -> None:
    """Examine a range of models, and print what was found as it is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--to", dest="last", type=int, default=5000)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", type=int, default=1000, help="models a child")
    parser.add_argument("--save", type=int, help="write the model of this number to stdout")
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.first, arguments.last)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = write(Path(name))
        if arguments.save is not None:
            sys.stdout.buffer.write(mutate(arguments.save, load(folder)))
            return
        total: Counter[str] = Counter()
        for first in range(arguments.first, arguments.last, arguments.step):
            last = min(first + arguments.step, arguments.last)
            found = run(folder, first, last)
            total.update(found.ends)
            print(f"{first} to {last}: {dict(found.ends)}", flush=True)
            for finding in found.findings:
                print(f"  {finding.number}: {finding.what}", flush=True)
        print(f"all: {dict(total)}")


if __name__ == "__main__":
    main()
