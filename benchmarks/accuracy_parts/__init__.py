"""Parts of accuracy.py: test patterns, methods that index them, figures of how right they are."""
