"""Floor 4b: what works on any generator: a module, a bound method or a function of codes."""
