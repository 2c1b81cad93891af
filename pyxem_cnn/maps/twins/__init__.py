"""Twins among the orientations of a point: half turns that leave the pattern nearly as it is."""
