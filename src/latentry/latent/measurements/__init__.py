r"""Measurements of data: masks, and linear measurements y = A x.

A code is recovered from part of the data by comparing A G(z) with y, for any A with a derivative (`Difference.operator`);
the linear ones here are those of compressed sensing with generative models (Bora et al., 2017). Where elements are only
hidden, a mask says so: 1 where an element is measured, 0 where it is hidden (`Difference.prepare`). Measurements compose:
`a * b` is a after b, `a.stack(b)` both side by side. Those of `deepinv.physics` are taken as they are (`as_measurement`).

Which codes a measurement leaves open is a matter of its null space: of a linear generator with matrix B, those of the null
space of A B; random projections to k numbers keep k directions, and so nearly all codes of less than k dimensions.

References: Bora, Jalal, Price, Dimakis, "Compressed sensing using generative models", 2017; Yeh et al., "Semantic image
inpainting with deep generative models", 2017.
"""

from latentry.latent.measurements.images import Blur, Downsample
from latentry.latent.measurements.masks import Hide, hide_box, keep_box, keep_share
from latentry.latent.measurements.operator import Called, Composed, Measurement, Stacked, as_measurement
from latentry.latent.measurements.physics import as_real
from latentry.latent.measurements.projection import RandomProjection

__all__ = [
    "Blur",
    "Called",
    "Composed",
    "Downsample",
    "Hide",
    "Measurement",
    "RandomProjection",
    "Stacked",
    "as_measurement",
    "as_real",
    "hide_box",
    "keep_box",
    "keep_share",
]
