"""Floor 0: the mathematics. Tensors in, tensors out; nothing here draws noise, reads a file or knows a network."""
