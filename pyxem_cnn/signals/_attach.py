"""Attach the methods of :mod:`pyxem_cnn.signals.methods` to pyxem's signal classes."""

from __future__ import annotations

import logging
from types import ModuleType

import wrapt

from pyxem_cnn.signals import methods

_logger = logging.getLogger(__name__)

# Subclasses (ElectronDiffraction2D, the lazy classes, ...) inherit from these two.
_CLASSES = {
    "pyxem.signals.diffraction2d": "Diffraction2D",
    "pyxem.signals.polar_diffraction2d": "PolarDiffraction2D",
}


def attach_signal_methods() -> None:
    """Attach the methods now, or as soon as pyxem's modules are imported.

    pyxem itself is not imported. A second call changes nothing.
    """
    for module_name in _CLASSES:
        wrapt.register_post_import_hook(_attach_to_module, module_name)


def _attach_to_module(module: ModuleType) -> None:
    """Attach the methods to the signal class that `module` defines."""
    class_name = _CLASSES[module.__name__]
    signal_class = getattr(module, class_name, None)
    if signal_class is None:
        # An exception here would surface as a failing `import pyxem`: say it and go on.
        _logger.warning(
            "%s has no class %s, so its signals get no methods of pyxem_cnn. Install a pyxem "
            "version that pyxem_cnn supports (0.21 or later).",
            module.__name__,
            class_name,
        )
        return
    for name in methods.__all__:
        setattr(signal_class, name, getattr(methods, name))
