"""Recovery: the protocol of Cho (2020), known codes, and whether data come from a generator."""
