"""ONNX files, converted to modules of torch for gradients, and compared with ONNX's reference evaluator.

The converter is `onnx2fx`, the only converter, of those tried, that needs no torchvision and reads the files of today's
exporters. It is new: so its result is compared with `onnx.reference.ReferenceEvaluator` on trial codes each time a file is
read, and refused where the two differ. Both come with `pip install latentry[onnx]`.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentry.generators.found import Found, first_line
from latentry.generators.outputs import tensor_in

__all__ = ["from_onnx"]

_TRIAL = 3
_SAME = 1e-3
"""Largest difference from the reference, over its largest value."""


def from_onnx(path: Path) -> Found:
    """The generator in an ONNX file.

    Raises:
        ValueError: The packages are missing, the file is broken, has another input than codes or a fixed number of them,
            uses an operator that cannot be converted, or the conversion gives other numbers.
    """
    onnx, onnx2fx = _packages()
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # of protobuf and of the checker
        raise ValueError(f"expected an ONNX model in {path}, got {first_line(error)}; export it again") from None
    code_shape = _input_shape(model, path)
    unknown = onnx2fx.analyze_model(model).unsupported_ops
    if unknown:
        names = ", ".join(sorted({str(one[0] if isinstance(one, tuple) else one) for one in unknown}))
        raise ValueError(
            f"expected operators that can be converted to torch in {path}, got {names}; export the generator with "
            "torch.export or TorchScript"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: nn.Module = onnx2fx.make_trainable(onnx2fx.convert(model))
    except Exception as error:  # of the converter
        raise ValueError(
            f"expected an ONNX model that can be converted to torch in {path}, got {first_line(error)}; export the "
            "generator with torch.export or TorchScript"
        ) from None
    if code_shape is not None:
        _check_same(module, model, code_shape, path)
    return Found(module.eval(), (path.resolve(), *_beside(model, path)), code_shape=code_shape, parts=(path.resolve(),))


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnx2fx
    except ImportError as error:
        raise ValueError(
            f"expected the package {error.name} for ONNX files, found none; install it with pip install 'latentry[onnx]'"
        ) from None
    return onnx, onnx2fx


def _input_shape(model: Any, path: Path) -> tuple[int, ...] | None:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(entry.name for entry in inputs) or "none"
        raise ValueError(
            f"expected an ONNX model of one input, codes, in {path}, got {names}; export one that takes codes alone"
        )
    kind = inputs[0].type.tensor_type
    if not kind.HasField("shape"):
        return None
    sizes = [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim]
    if sizes and sizes[0] is not None:
        raise ValueError(
            f"expected a generator of any number of codes in {path}, got one that was exported for exactly {sizes[0]}; "
            f"export it with dynamic_axes={{'{inputs[0].name}': {{0: 'n'}}}} or "
            f"dynamic_shapes=({{0: torch.export.Dim('n')}},)"
        )
    rest = [size for size in sizes[1:] if size]
    return tuple(rest) if rest and len(rest) == len(sizes) - 1 else None


def _check_same(module: nn.Module, model: Any, code_shape: tuple[int, ...], path: Path) -> None:
    """Hold the conversion against the reference of ONNX."""
    from onnx.reference import ReferenceEvaluator

    rng = torch.Generator().manual_seed(0)
    weight = next((one for one in module.parameters() if one.is_floating_point()), torch.empty(0))
    z = torch.randn(_TRIAL, *code_shape, generator=rng).to(weight.dtype)
    try:
        reference = ReferenceEvaluator(model)
        outputs = reference.run(None, {reference.input_names[0]: z.numpy()})
    except Exception:  # an operator that the reference lacks, or runs out of memory on
        return
    with torch.no_grad():
        made = module(z)
    for one, other in zip(made if isinstance(made, list | tuple) else [made], outputs, strict=False):
        expected = torch.from_numpy(np.asarray(other))
        if not _alike(tensor_in(one), expected):
            raise ValueError(
                f"expected the conversion of {path} to torch to give what ONNX says, got other numbers; export the "
                "generator with torch.export or TorchScript"
            )


def _alike(made: Tensor, expected: Tensor) -> bool:
    if made.shape != expected.shape:
        return False
    return bool((made.double() - expected.double()).abs().max() <= _SAME * expected.double().abs().max())


def _beside(model: Any, path: Path) -> list[Path]:
    """Files with weights of the model beside it."""
    names = {entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"}
    return sorted((path.parent / name).resolve() for name in names)
