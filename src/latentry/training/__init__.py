"""Floor 3: the generic loop, checkpoints and averaging. Nothing here knows what is trained."""
