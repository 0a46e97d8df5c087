"""Sweeps: a space of machines, the runner, the store that a rerun goes on from.

Importing any module in here puts the package in the place of the public function
``photonpu.sweep``, so the package can be called, and shows the function's signature and text.
"""

import inspect
import sys
from types import ModuleType

from photonpu.sweep.runner import sweep
from photonpu.sweep.store import Store
from photonpu.sweep.study import Interval, Outcome, Point, Study

__all__ = ["Interval", "Outcome", "Point", "Store", "Study", "sweep"]


class _Callable(ModuleType):
    __call__ = staticmethod(sweep)
    __signature__ = inspect.signature(sweep)


sys.modules[__name__].__class__ = _Callable
__doc__ = sweep.__doc__ or __doc__
