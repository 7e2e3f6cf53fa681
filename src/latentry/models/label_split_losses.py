r"""Losses of the label split, one function each (Zheng and Sun, 2019).

A mixture with one diagonal normal component for each class, of means :math:`\mu_c` and *precisions* :math:`\lambda_c`, lies
over the label-relevant codes :math:`z_s`. With :math:`d_c(z) = \frac12 \sum_j \lambda_{cj} (z_j - \mu_{cj})^2` and
:math:`\log \det \Lambda_c = \sum_j \log \lambda_{cj}`,

.. math::
    L_{cls} &= -\log \frac{\sqrt{\det \Lambda_y} \, e^{-(1 + \alpha) d_y}}
                          {\sum_c \sqrt{\det \Lambda_c} \, e^{-(1 + \alpha [c = y]) d_c}} \\
    L_{lkd} &= d_y - \tfrac12 \log \det \Lambda_y

are the cross entropy of the posterior under equal class probabilities (Wan et al., 2018, with its margin :math:`\alpha`) and
the negative log-likelihood but for a constant, both in the log domain: the published code caps the first at
:math:`-\log 10^{-4}` and so loses the gradient of the codes that are worst placed. Where the encoder of :math:`z_s` gives a
posterior q, the divergence :math:`KL(q \,\|\, p(z_s | y))` takes the place of :math:`L_{lkd}`. The divergence of :math:`z_u`
from N(0, I) is a mean over coordinates too, as in the published code.

References: Zheng and Sun, "Disentangling latent space for VAE by label relevant/irrelevant dimensions", 2019; Wan, Zhong,
Li, Chen, "Rethinking feature distribution for loss functions in image classification", 2018.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from latentry.priors import DiagonalNormal

__all__ = [
    "confusion_loss",
    "mixture_classification_loss",
    "mixture_likelihood_loss",
    "mixture_logits",
    "three_term_hinge",
]


def mixture_logits(
    z: Float[Tensor, "n d"], loc: Float[Tensor, "k d"], precision: Float[Tensor, "k d"]
) -> Float[Tensor, "n k"]:
    r""":math:`\frac12 \log \det \Lambda_c - d_c(z)`: log p(z | c), but for a constant."""
    return 0.5 * (precision.log() - precision * (z[:, None] - loc).square()).sum(2)


def mixture_classification_loss(
    z: Float[Tensor, "n d"],
    y: Int[Tensor, "n"],
    loc: Float[Tensor, "k d"],
    precision: Float[Tensor, "k d"],
    margin: float = 0.0,
) -> Float[Tensor, ""]:
    """L_cls: mean cross entropy of the labels given the codes.

    Reference: Zheng and Sun (2019); Wan et al. (2018), eq. 15 for the margin.
    """
    logits = mixture_logits(z, loc, precision)
    if margin:
        d = 0.5 * (precision[y] * (z - loc[y]).square()).sum(1, keepdim=True)
        logits = logits - torch.zeros_like(logits).scatter(1, y[:, None], margin * d)
    return cross_entropy(logits, y)


def mixture_likelihood_loss(z: Float[Tensor, "n d"], component: DiagonalNormal) -> Float[Tensor, ""]:
    r"""L_lkd: mean negative log-likelihood of codes, but for the constant :math:`\frac d2 \log 2 \pi`.

    Args:
        z: The codes.
        component: p(z | y), the component of each code's label.
    """
    return -component.log_prob(z).mean() - z.shape[1] / 2 * math.log(2 * math.pi)


def confusion_loss(logits: Float[Tensor, "n k"], target: Float[Tensor, "k"]) -> Float[Tensor, ""]:
    r"""L_E^adv: mean cross entropy between one distribution for all data, such as the uniform one, and a classifier's.

    Its least value is the entropy of the target, reached where the classifier predicts the target for all inputs.
    """
    return -(logits.log_softmax(1) @ target).mean()


def three_term_hinge(
    real: Float[Tensor, "n"], sampled: Float[Tensor, "m"], reconstructed: Float[Tensor, "n"]
) -> Float[Tensor, ""]:
    """Hinge loss of a discriminator from its scores of data, of samples and of reconstructions."""
    return (1 - real).relu().mean() + (1 + sampled).relu().mean() + (1 + reconstructed).relu().mean()
