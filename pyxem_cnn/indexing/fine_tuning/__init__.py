"""Fine-tuning of a model on the patterns of one's own microscope."""
