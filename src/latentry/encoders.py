"""Encoders from data to codes, and their files."""

from latentry.latent.encoding import fit_encoder
from latentry.latent.inverse import Inverse, fit_inverse
from latentry.latent.inverse_files import load_inverse, save_inverse

__all__ = ["Inverse", "fit_encoder", "fit_inverse", "load_inverse", "save_inverse"]
