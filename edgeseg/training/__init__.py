"""Training: recipes, augmentation, losses, the loop, checkpoints."""
