"""Pure torch modules; they know arrays, not crystals."""
