from . import data, plot, signals
from ._version import __version__
from .datasets import Conditions
from .detector.geometry import DetectorGeometry
from .detector.grids import CartesianGrid, PolarGrid
from .detector.resampling import ResamplingOperator
from .indexing.calibration.check import CalibrationCheck, check_calibration
from .indexing.fine_tuning.fine_tune import TuningConfig, fine_tune
from .indexing.live.indexer import LiveIndexer
from .indexing.refinement.settings import RefinementSettings
from .indexing.spots import SpotSettings
from .indexing.store.prediction_store import PredictionStore, open_store
from .indexing.template_matching import template_matching
from .indexing.templates import TemplateSettings
from .maps.comparison.compare import compare_crystal_maps
from .maps.comparison.result import MapComparison
from .maps.files.export import save_crystal_map
from .maps.files.reading import load_crystal_map
from .maps.grains.boundaries import GrainBoundaries, grain_boundaries
from .maps.grains.find import find_grains
from .maps.grains.grain_set import Grains
from .maps.neighbour_choice import choose_by_neighbours
from .maps.templates.orientation_map import orientation_map_to_crystal_map
from .maps.twins.list_twins import list_twins
from .maps.twins.twin_list import TwinList
from .model import OrientationModel, available_models, load_model
from .model.wrapping import wrap_model
from .phases import CrystalStructure, as_crystal_structure, read_cif
from .signals.orientation_prediction import LazyOrientationPrediction, OrientationPrediction
from .simulation.bloch_waves.simulator import BlochWaveSimulator, DynamicalSpots
from .simulation.library.dynamical_library import DynamicalLibrary
from .simulation.library.file import load_library, simulate_library
from .simulation.library.parameters import LibraryParameters
from .simulation.orientation_sampling import OrientationSampling, sample_orientations
from .training import TrainingConfig, train

__all__ = [
    "BlochWaveSimulator",
    "CalibrationCheck",
    "CartesianGrid",
    "Conditions",
    "CrystalStructure",
    "DetectorGeometry",
    "DynamicalLibrary",
    "DynamicalSpots",
    "GrainBoundaries",
    "Grains",
    "LazyOrientationPrediction",
    "LibraryParameters",
    "LiveIndexer",
    "MapComparison",
    "OrientationModel",
    "OrientationPrediction",
    "OrientationSampling",
    "PolarGrid",
    "PredictionStore",
    "RefinementSettings",
    "ResamplingOperator",
    "SpotSettings",
    "TemplateSettings",
    "TrainingConfig",
    "TuningConfig",
    "TwinList",
    "__version__",
    "as_crystal_structure",
    "available_models",
    "check_calibration",
    "choose_by_neighbours",
    "compare_crystal_maps",
    "data",
    "find_grains",
    "fine_tune",
    "grain_boundaries",
    "list_twins",
    "load_crystal_map",
    "load_library",
    "load_model",
    "open_store",
    "orientation_map_to_crystal_map",
    "plot",
    "read_cif",
    "sample_orientations",
    "save_crystal_map",
    "signals",
    "simulate_library",
    "template_matching",
    "train",
    "wrap_model",
]
