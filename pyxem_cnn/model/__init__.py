"""Models: the network with its crystal, grid and target, as it stands in a model file."""

from pyxem_cnn.model.description import ModelDescription
from pyxem_cnn.model.orientation_model import (
    ModelFileError,
    OrientationModel,
    available_models,
    load_model,
)

__all__ = [
    "ModelDescription",
    "ModelFileError",
    "OrientationModel",
    "available_models",
    "load_model",
]
