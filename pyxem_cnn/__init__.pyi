from . import data, plot, signals
from ._version import __version__
from .datasets import Conditions
from .detector.geometry import DetectorGeometry
from .detector.grids import CartesianGrid, PolarGrid
from .detector.resampling import ResamplingOperator
from .indexing.export import save_crystal_map
from .model import OrientationModel, available_models, load_model
from .model.wrapping import wrap_model
from .phases import CrystalStructure, as_crystal_structure, read_cif
from .signals.orientation_prediction import LazyOrientationPrediction, OrientationPrediction
from .training import TrainingConfig, train

__all__ = [
    "CartesianGrid",
    "Conditions",
    "CrystalStructure",
    "DetectorGeometry",
    "LazyOrientationPrediction",
    "OrientationModel",
    "OrientationPrediction",
    "PolarGrid",
    "ResamplingOperator",
    "TrainingConfig",
    "__version__",
    "as_crystal_structure",
    "available_models",
    "data",
    "load_model",
    "plot",
    "read_cif",
    "save_crystal_map",
    "signals",
    "train",
    "wrap_model",
]
