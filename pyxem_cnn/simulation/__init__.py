"""From a crystal structure to zone-axis libraries and rendered patterns."""
