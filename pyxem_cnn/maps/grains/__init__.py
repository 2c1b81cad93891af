"""Grains of a crystal map and the boundaries between them."""
