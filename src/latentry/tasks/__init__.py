"""Floor 6: one file per verb, where models, latent and evaluation meet. Settings live apart, so that help needs no torch."""
