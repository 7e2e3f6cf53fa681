"""Floor 4a: what makes a generator, or a network that reads data."""
