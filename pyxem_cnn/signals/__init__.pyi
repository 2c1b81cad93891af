from .orientation_prediction import LazyOrientationPrediction, OrientationPrediction

__all__ = ["LazyOrientationPrediction", "OrientationPrediction"]
