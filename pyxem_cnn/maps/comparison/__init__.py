"""Two crystal maps of one scan, point by point."""
