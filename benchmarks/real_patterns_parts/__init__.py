"""Parts of real_patterns.py: patterns of known orientation, models, methods, and a figure."""
