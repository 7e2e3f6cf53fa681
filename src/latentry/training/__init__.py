"""Floor 3: the generic training loop, checkpoints and averaging."""
