"""Floor 4c: measures of codes (z), of samples (x) and of structure (y). They take tensors and callables."""
