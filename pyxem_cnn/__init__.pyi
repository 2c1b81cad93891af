from . import data, plot, signals
from ._version import __version__
from .datasets import Conditions
from .detector.geometry import DetectorGeometry
from .detector.grids import CartesianGrid, PolarGrid
from .detector.resampling import ResamplingOperator
from .maps.boundaries import GrainBoundaries, grain_boundaries
from .maps.export import save_crystal_map
from .maps.grain_set import Grains
from .maps.grains import find_grains
from .model import OrientationModel, available_models, load_model
from .model.wrapping import wrap_model
from .phases import CrystalStructure, as_crystal_structure, read_cif
from .signals.orientation_prediction import LazyOrientationPrediction, OrientationPrediction
from .simulation.bloch_waves import BlochWaveSimulator, DynamicalSpots
from .simulation.dynamical_library import DynamicalLibrary
from .simulation.library_file import load_library, simulate_library
from .simulation.orientation_sampling import OrientationSampling, sample_orientations
from .training import TrainingConfig, train

__all__ = [
    "BlochWaveSimulator",
    "CartesianGrid",
    "Conditions",
    "CrystalStructure",
    "DetectorGeometry",
    "DynamicalSpots",
    "GrainBoundaries",
    "Grains",
    "DynamicalLibrary",
    "LazyOrientationPrediction",
    "OrientationModel",
    "OrientationPrediction",
    "OrientationSampling",
    "PolarGrid",
    "ResamplingOperator",
    "TrainingConfig",
    "__version__",
    "as_crystal_structure",
    "available_models",
    "data",
    "find_grains",
    "grain_boundaries",
    "load_library",
    "load_model",
    "plot",
    "read_cif",
    "sample_orientations",
    "save_crystal_map",
    "signals",
    "simulate_library",
    "train",
    "wrap_model",
]
