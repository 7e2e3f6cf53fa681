"""Spectrum: bases, operators and denoising (Toledo-Marin and Glazier 2023)."""
