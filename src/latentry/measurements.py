"""What is seen of data: operators between a generator and what was measured."""

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
