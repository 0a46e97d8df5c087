"""Import what only training needs, or say which extra brings it."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str) -> Any:
    """Import a module of the extra ``train``.

    Parameters
    ----------
    module : str
        Its dotted name, such as ``"torch"``.

    Returns
    -------
    module
        The imported module, untyped because the extra may be missing where types are checked.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        message = f"{package} is needed to train: pip install 'photonpu[train]'"
        raise ImportError(message) from error
