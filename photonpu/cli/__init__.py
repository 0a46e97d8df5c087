"""The command line: one module for a verb, each of which calls public functions only."""

from __future__ import annotations

import sys

INTERRUPTED = 130
STOPPED = "interrupted; nothing was left half-written"


def main() -> None:
    """Run the command line; Ctrl-C ends it with 130, from its first import on."""
    try:
        from photonpu.cli.app import app

        app()
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        sys.exit(INTERRUPTED)
