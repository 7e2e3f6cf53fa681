"""Floor 2: third-party generators, from any callable or file, as modules of codes `(n, d)`."""
