"""Orientations of patterns while they arrive from the microscope."""
