r"""Networks for fast evaluation: batch normalisation folded into the layer before it.

At evaluation batch normalisation is the affine map :math:`\gamma (a - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta` of each
channel, and so, after a convolution or a linear layer :math:`a = W x + b`, part of another layer of the same kind.
"""

from copy import deepcopy
from typing import Any

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

__all__ = ["folded"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def folded(network: nn.Module) -> nn.Module:
    """A frozen copy that gives what `network` gives in eval mode, up to rounding; itself where there is nothing to fold.

    Batch normalisation is folded where it follows its layer in an `nn.Sequential`; places keep their numbers. Layers of
    other classes, parametrized ones and those with hooks stay as they are.
    """
    if not any(_foldable(chain) for chain in _chains(network)):
        return network
    copy = deepcopy(network).eval()
    for chain in _chains(copy):
        for index in _foldable(chain):
            if chain[index].training or chain[index + 1].training:  # their own `train` keeps them there
                continue
            chain[index] = _joined(chain[index], chain[index + 1])
            chain[index + 1] = nn.Identity()
    return copy.requires_grad_(False)


def _chains(network: nn.Module) -> list[nn.Sequential]:
    return [part for part in network.modules() if isinstance(part, nn.Sequential)]


def _foldable(chain: nn.Sequential) -> list[int]:
    """Places of layers that the next one can be folded into."""
    return [index for index in range(len(chain) - 1) if _fits(chain[index], chain[index + 1])]


def _fits(layer: Any, normalisation: Any) -> bool:
    if type(normalisation) not in _NORMALISATIONS or normalisation.running_mean is None:
        return False
    if any(part._forward_hooks or part._forward_pre_hooks for part in (layer, normalisation)):
        return False
    if type(layer) is nn.Linear:
        return layer.out_features == normalisation.num_features
    return type(layer) in _CONVOLUTIONS or (type(layer) in _TRANSPOSED and layer.groups == 1)


def _joined(layer: Any, normalisation: Any) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return fuse_linear_bn_eval(layer, normalisation)
    return fuse_conv_bn_eval(layer, normalisation, transpose=type(layer) in _TRANSPOSED)
