from .grains import grain_scan

__all__ = ["grain_scan"]
