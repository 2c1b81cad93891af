"""Refinement of orientations against simulated patterns, point by point."""
