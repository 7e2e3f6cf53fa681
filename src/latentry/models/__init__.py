"""Floor 4a: generators, classifiers and encoders, and their training."""
