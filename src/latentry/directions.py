"""Directions of a latent space in which codes can be moved, from codes, labels or weights."""

from latentry.latent.basis_files import load_basis, save_basis
from latentry.latent.boundaries import boundary_directions, conditional_projection, fisher_directions, fit_linear_classifier
from latentry.latent.directions import (
    activation_directions,
    first_weight_directions,
    match_labels,
    principal_directions,
    random_directions,
)
from latentry.latent.quasi_eigenbasis import energy_share, label_ranks, spectral_labels
from latentry.latent.spectral import basis_from_codes, quasi_eigenvectors, quasi_eigenvectors_toledo2023

__all__ = [
    "activation_directions",
    "basis_from_codes",
    "boundary_directions",
    "conditional_projection",
    "energy_share",
    "first_weight_directions",
    "fisher_directions",
    "fit_linear_classifier",
    "label_ranks",
    "load_basis",
    "match_labels",
    "principal_directions",
    "quasi_eigenvectors",
    "quasi_eigenvectors_toledo2023",
    "random_directions",
    "save_basis",
    "spectral_labels",
]
