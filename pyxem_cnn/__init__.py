"""Crystal orientation maps from 4D-STEM scans with neural networks, for HyperSpy and pyxem."""

import lazy_loader

from pyxem_cnn.signals._attach import attach_signal_methods

# The public names stand in __init__.pyi and are imported when first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

attach_signal_methods()

del lazy_loader, attach_signal_methods
