from .comparison import plot_comparison
from .errors import plot_error_map
from .grains import plot_grain_boundaries, plot_grains
from .ipf import plot_ipf_maps
from .properties import plot_property_map
from .reliability import plot_reliability_diagram

__all__ = [
    "plot_comparison",
    "plot_error_map",
    "plot_grain_boundaries",
    "plot_grains",
    "plot_ipf_maps",
    "plot_property_map",
    "plot_reliability_diagram",
]
