"""Zone-axis libraries: spots for directions in the fundamental sector."""
