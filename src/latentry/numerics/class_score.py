r"""Inception-style score of a sample from a classifier's probabilities.

.. math:: S = \exp \frac{1}{n} \sum_i KL(p_i \,\|\, \bar p), \qquad \bar p = \frac{1}{n} \sum_i p_i

is 1 where all rows have equal probabilities and the number of classes where each row is of one class and all classes are
equally frequent. It never looks at a reference. A class that is never predicted adds nothing (0 log 0 = 0).

Since :math:`\log S = \overline{\sum_c p_c \log p_c} - \sum_c \bar p_c \log \bar p_c`, the mean of the vectors
:math:`v_i = (\sum_c p_{ic} \log p_{ic}, \; p_{i1} .. p_{iC})` is all it needs, and so it streams. The delta method needs
their covariance :math:`\Sigma` on top: the gradient is :math:`w = (1, -\log \bar p_1, \dots)`, and
:math:`\mathrm{Var} \log S \approx w^T \Sigma w / n`, which is the variance of :math:`KL(p_i \| \bar p)` over n. The
entropy of a mean is too low by :math:`\sum_c \Sigma_{cc} / (2 n \bar p_c)`, which shifts the interval but
not the value, because everybody reports that; splitting a sample into ten, as is done, multiplies the bias by ten.

References: Salimans et al., "Improved techniques for training GANs", 2016; Barratt and Sharma, "A note on the Inception
Score", 2018; Miller, "Note on the bias of information estimates", 1955.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.numerics.moments import Moments

__all__ = ["ClassScore", "class_score", "score_terms"]


@dataclass(frozen=True)
class ClassScore:
    """Logarithm of an Inception-style score, its bias and its variance.

    Example:
        >>> from latentry.numerics.moments import moments
        >>> class_score(moments(score_terms(torch.full((100, 2), 0.5)))).log_value
        0.0
    """

    log_value: float
    """log S on this sample."""
    bias: float
    """What log S is off on average; negative."""
    variance: float
    """Variance of log S by the delta method."""


def score_terms(probabilities: Float[Tensor, "n c"]) -> Float[Tensor, "n c_plus_1"]:
    """Rows (sum_c p log p, p_1 .. p_C), whose moments `class_score` takes.

    Raises:
        ValueError: Rows are no probabilities: negative, not finite, or with a sum that is not 1.

    Example:
        >>> score_terms(torch.tensor([[0.5, 0.5]]))
        tensor([[-0.6931,  0.5000,  0.5000]], dtype=torch.float64)
    """
    p = probabilities.detach().double()
    sums = p.sum(1)
    if not (p.isfinite().all() and (p >= 0).all() and ((sums - 1).abs() < 1e-3).all()):
        raise ValueError(
            "expected rows of class probabilities, got negative values or sums other than 1; apply softmax to logits"
        )
    p = p / sums[:, None]
    return torch.cat([torch.xlogy(p, p).sum(1, keepdim=True), p], 1)


def class_score(terms: Moments) -> ClassScore:
    """Inception-style score from the moments of `score_terms`.

    Reference: Salimans et al. (2016), section 4.

    Example:
        >>> import math
        >>> from latentry.numerics.moments import moments
        >>> sure = torch.eye(2).repeat(500, 1)
        >>> round(math.exp(class_score(moments(score_terms(sure))).log_value), 3)
        2.0
    """
    mean, covariance = terms.mean[1:], terms.covariance
    positive = mean > 0
    log_mean = torch.where(positive, mean, 1.0).log()
    w = torch.cat([mean.new_ones(1), -log_mean])
    log_value = terms.mean[0] - mean @ log_mean
    bias = -torch.where(positive, covariance.diagonal()[1:] / torch.where(positive, mean, 1.0), 0.0).sum() / (
        2 * terms.count
    )
    return ClassScore(log_value.item(), bias.item(), (w @ covariance @ w).item() / terms.count)
