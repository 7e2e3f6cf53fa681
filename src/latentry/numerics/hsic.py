r"""The Hilbert-Schmidt independence criterion: a measure of any dependence between two sets of variables.

With kernels k on codes and l on their companions, and centring :math:`H = I - \frac1n 1 1^\top`,

.. math:: \operatorname{HSIC} = \frac{1}{(n - 1)^2} \operatorname{tr}(K H L H)

is 0 in the limit of many data if and only if the two are independent, for characteristic kernels. The normalised form
divides by the geometric mean of HSIC of each with itself and lies in [0, 1], whatever the scale of the kernels.

The kernels here are sums of Gaussians of three widths about the mean squared distance, which is held fixed when gradients
are taken; for labels the kernel is 1 where they are equal and 0 else.

References: Gretton, Bousquet, Smola, Schoelkopf, "Measuring statistical dependence with Hilbert-Schmidt norms", 2005;
Cortes, Mohri, Rostamizadeh, "Algorithms for learning kernels based on centered alignment", 2012 (the normalised form).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["centred_alignment", "gaussian_kernel", "label_kernel"]

_WIDTHS = (0.25, 1.0, 4.0)
"""Squared widths of the Gaussians, over the mean squared distance."""


def gaussian_kernel(z: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Mean of Gaussians of three widths.

    Example:
        >>> gaussian_kernel(torch.tensor([[0.0], [0.0], [1.0]])).shape
        torch.Size([3, 3])
    """
    squared = (z[:, None] - z).square().sum(2)
    n = len(z)
    scale = (squared.detach().sum() / max(1, n * (n - 1))).clamp(min=torch.finfo(z.dtype).tiny)
    return torch.stack([torch.exp(-squared / (2 * width * scale)) for width in _WIDTHS]).mean(0)


def label_kernel(y: Int[Tensor, "n"]) -> Float[Tensor, "n n"]:
    """1 for two data of one label, 0 for others.

    Example:
        >>> label_kernel(torch.tensor([0, 0, 1]))
        tensor([[1., 1., 0.],
                [1., 1., 0.],
                [0., 0., 1.]])
    """
    return (y[:, None] == y).to(torch.get_default_dtype())


def centred_alignment(k: Float[Tensor, "n n"], l: Float[Tensor, "n n"]) -> Float[Tensor, ""]:  # noqa: E741  # the field's letter
    """Normalised HSIC of two kernels on the same data, in [0, 1]; 0 where one is constant.

    Reference: Cortes et al. (2012), definition 4.

    Example:
        >>> k = label_kernel(torch.tensor([0, 0, 1, 1]))
        >>> centred_alignment(k, k)
        tensor(1.)
    """
    k, l = _centred(k), _centred(l)  # noqa: E741
    size = (k.square().sum() * l.square().sum()).clamp(min=torch.finfo(k.dtype).tiny).sqrt()
    return (k * l).sum() / size


def _centred(k: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    return k - k.mean(0) - k.mean(1, keepdim=True) + k.mean()
