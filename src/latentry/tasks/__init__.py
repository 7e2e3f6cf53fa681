"""Floor 6: one file per verb, the only place where the wings meet. Settings live apart, so that help needs no torch."""
