"""Floor 4b: algorithms on the latent space of any generator: a module, a bound method or a function of codes."""
