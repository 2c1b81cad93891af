"""Make torchvision importable beside a build of torch that its compiled operators do not fit."""

from __future__ import annotations

import importlib
import re
import sys

_MOST_OPERATORS = 50


def import_torchvision() -> None:
    """Import torchvision; where its compiled operators cannot load, declare them without a body.

    A torchvision built for CUDA cannot load its operators beside a CPU build of torch, and refuses
    to be imported. timm, and torchmetrics where it finds it, import torchvision but need none of
    those operators (non-maximum suppression and the like), so that tests can run all the same.
    Calling such an operator raises an error.
    """
    import torch

    library = None
    for _ in range(_MOST_OPERATORS):
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            # Declarations last as long as the library object does.
            library = library or torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{missing[1]}(Tensor input) -> Tensor")
            for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
                del sys.modules[name]
        else:
            _KEPT.append(library)
            return


_KEPT: list[object] = []
