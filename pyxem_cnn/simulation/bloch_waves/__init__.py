"""Dynamical diffraction by Bloch waves."""
