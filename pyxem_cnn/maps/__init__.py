"""What is done with finished crystal maps: build, read, compare, find grains, export."""
