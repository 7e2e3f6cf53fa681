"""Semantics: features placed before training (Kim and Cho 2019)."""
