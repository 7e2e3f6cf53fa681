"""Floor 2: generators of others, from any callable or file, as modules of codes `(n, d)`."""
