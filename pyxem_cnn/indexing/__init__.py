"""From blocks of raw patterns to predictions and crystal maps."""
