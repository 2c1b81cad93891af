"""The detector: calibration, geometry, direct beam, and resampling to the grids of networks."""
