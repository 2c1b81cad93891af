"""pyxem's results of template matching, decoded right."""
