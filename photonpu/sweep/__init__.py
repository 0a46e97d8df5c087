"""Sweeps: a space of machines, the runner, the store that a rerun goes on from.

The package can be called as the function that it holds, so that ``photonpu.sweep(...)`` is right
however it was imported: importing any module in here puts the package in the function's place.
"""

import sys
from types import ModuleType

from photonpu.sweep.runner import sweep
from photonpu.sweep.store import Store
from photonpu.sweep.study import Interval, Outcome, Point, Study

__all__ = ["Interval", "Outcome", "Point", "Store", "Study", "sweep"]


class _Callable(ModuleType):
    __call__ = staticmethod(sweep)


sys.modules[__name__].__class__ = _Callable
