"""Split: label-relevant and label-irrelevant latents (Zheng and Sun 2019)."""
