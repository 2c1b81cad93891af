"""Look before you run: how a scan is calibrated for a model."""
