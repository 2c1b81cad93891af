from .errors import plot_error_map
from .ipf import plot_ipf_maps
from .properties import plot_property_map

__all__ = ["plot_error_map", "plot_ipf_maps", "plot_property_map"]
