"""The command line: one module for a verb, each of which calls public functions only."""

from photonpu.cli.app import app, main

__all__ = ["app", "main"]
