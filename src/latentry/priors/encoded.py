"""Tensors as text: safetensors in base 64, so that a prior with weights is JSON like every other, to the last bit."""

import base64
import binascii
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from latentry.numerics.inputs import as_tensor

__all__ = ["decoded", "double", "encoded"]


def encoded(tensors: dict[str, Tensor]) -> str:
    """Named tensors as text.

    Example:
        >>> decoded(encoded({"loc": torch.tensor([1.0, 2.0])}))
        {'loc': tensor([1., 2.])}
    """
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return base64.b64encode(safetensors.torch.save(whole)).decode("ascii")


def decoded(text: str) -> dict[str, Tensor]:
    """The tensors that `encoded` wrote.

    Raises:
        ValueError: It is no such text.
    """
    try:
        return safetensors.torch.load(base64.b64decode(text, validate=True))
    except (binascii.Error, safetensors.SafetensorError, RuntimeError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(
            f"expected tensors as save_prior writes them, got other text ({error}); save the prior again"
        ) from None


def double(name: str, value: Any) -> Tensor:
    """Finite numbers in double precision, on the CPU: of a tensor, a list, or the text of one tensor.

    Raises:
        ValueError: They are none, or not finite.

    Example:
        >>> double("loc", [1, 2])
        tensor([1., 2.], dtype=torch.float64)
    """
    found = decoded(value)["value"] if isinstance(value, str) else as_tensor(name, value)
    if found.is_complex() or not found.isfinite().all():
        raise ValueError(f"expected finite real numbers as {name}, got {found.dtype} with others; check what they come from")
    return found.detach().to("cpu", torch.float64, copy=True)
