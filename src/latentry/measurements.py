"""Measurements: maps from data to what was observed of them."""

from latentry.latent.measurements import (
    Blur,
    Downsample,
    Hide,
    Measurement,
    RandomProjection,
    as_measurement,
    as_real,
    hide_box,
    keep_box,
    keep_share,
)

__all__ = [
    "Blur",
    "Downsample",
    "Hide",
    "Measurement",
    "RandomProjection",
    "as_measurement",
    "as_real",
    "hide_box",
    "keep_box",
    "keep_share",
]
