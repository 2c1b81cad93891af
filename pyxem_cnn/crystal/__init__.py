"""Crystal structures: read, checked, expanded, with the operations of their space groups."""
