"""What users pass for a tensor is that tensor, or is refused with one sentence."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import latentry as lt
from latentry.latent.settings import EncoderSettings
from latentry.numerics.inputs import as_attributes

PLANE = torch.eye(4)[[0, 2]]


@pytest.fixture
def z() -> Tensor:
    return torch.randn(3, 4)


def test_arrays_and_lists_are_the_tensors_they_hold(z: Tensor) -> None:
    turned = lt.operators.rotate(z, PLANE, 0.3)
    frozen = np.asarray(z)[::-1].astype(">f4")[::-1]
    frozen.flags.writeable = False
    for codes in (z.numpy(), z.numpy()[:, ::-1][:, ::-1], frozen, z.tolist(), list(z), tuple(z.tolist())):
        assert_close(lt.operators.rotate(codes, PLANE.tolist(), np.float32(0.3)), turned)  # type: ignore[arg-type]
    assert_close(lt.operators.rotate(z.expand(3, 4).mT.contiguous().mT, PLANE.numpy(), torch.tensor(0.3)), turned)  # type: ignore[arg-type]
    assert lt.operators.rotate([[1, 0, 0, 0]], PLANE.double(), 0.3).dtype == torch.float64  # type: ignore[arg-type]


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single_and_given_back_in_half(z: Tensor, half: torch.dtype) -> None:
    codes, plane = z.to(half), PLANE.to(half)
    assert torch.equal(lt.operators.rotate(codes, plane, 0.3), lt.operators.rotate(codes.float(), PLANE, 0.3).to(half))
    assert lt.operators.rotate(codes, PLANE, 0.3).dtype == torch.float32  # promoted, as torch does


def test_operators_keep_the_graph_of_codes_and_of_angles(z: Tensor) -> None:
    angle = torch.tensor(0.3, requires_grad=True)
    codes = z.clone().requires_grad_()
    lt.operators.rotate(codes, PLANE, angle).square().sum().backward()
    assert_close(codes.grad, 2 * z)  # the norm is kept
    assert angle.grad is not None
    assert abs(angle.grad.item()) < 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z.long(), r"expected z as a tensor of floating type .*got torch.int64 .*\.float\(\)"),
        (lambda z: z > 0, r"got torch.bool .*\.float\(\)"),
        (lambda z: z + 1j, r"got torch.complex64 .*\.real"),
        (lambda z: z[0], r"expected z .*\(n, d\), got torch.float32 of shape \(4,\).*z\[None\]"),
        (lambda z: z[..., None], r"got torch.float32 of shape \(3, 4, 1\)"),
        (lambda z: z[:, :0], "without an axis of length 0"),
        (lambda z: z[:, :3], r"expected plane .*\(2, d\) or \(n, 2, d\), got torch.float32 of shape \(2, 4\)"),
        (lambda z: z.index_fill(0, torch.tensor(1), torch.nan), "expected finite z, got NaN or infinity in 1 of 3"),
        (lambda z: z.to_sparse(), r"dense tensor .*\.to_dense\(\)"),
        (lambda z: z.to("meta"), "one without values"),
        (lambda z: None, "got None"),
        (lambda z: "codes", "got 'codes'"),
        (lambda z: [[1.0], [1.0, 2.0]], "expected z as a tensor, an array or a list of numbers"),
        (lambda z: np.array(["a", "b"]), "expected z as a tensor, an array or a list of numbers"),
        (lambda z: {"z": z}, "got dict"),
    ],
)
def test_what_are_no_codes_is_refused_with_the_way_out(change, message: str, z: Tensor) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        lt.operators.rotate(change(z), PLANE, 0.3)


@pytest.mark.parametrize("angle", [torch.nan, "0.3", None, torch.zeros(2, 2), [0.1, 0.2]])
def test_what_is_no_angle_is_refused(angle: object, z: Tensor) -> None:
    with pytest.raises(ValueError, match="expected"):
        lt.operators.rotate(z, PLANE, angle)  # type: ignore[arg-type]


def test_labels_of_any_type_are_the_same_labels(z: Tensor) -> None:
    weights, bias, y = torch.randn(2, 4), torch.zeros(2), torch.tensor([0, 1, 1])
    moved = lt.operators.translate_to_margin(z, weights, bias, y, 0.5)
    for labels in (y.bool(), y.int(), y.to(torch.uint8), y.float(), y.numpy(), y.tolist(), y.numpy().astype(bool)):
        assert_close(lt.operators.translate_to_margin(z, weights, bias, labels, 0.5), moved)  # type: ignore[arg-type]
    for labels, message in ((torch.eye(2)[y].long(), r"argmax\(1\)"), (y + 0.5, "expected whole numbers as y")):
        with pytest.raises(ValueError, match=message):
            lt.operators.translate_to_margin(z, weights, bias, labels, 0.5)


def test_attributes_are_minus_one_zero_and_one_or_bools() -> None:
    a = torch.tensor([[1, -1], [-1, 0]])
    assert torch.equal(as_attributes(a.int()), a)
    assert torch.equal(as_attributes(a > 0), torch.tensor([[1, -1], [-1, -1]]))
    with pytest.raises(ValueError, match=r"got 0 and 1 alone.*a\.bool\(\)"):
        as_attributes(torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(ValueError, match="expected attributes -1, 0 or 1"):
        as_attributes(torch.tensor([0, 2]))


def test_every_public_function_takes_its_inputs_in_every_form_and_refuses_all_else() -> None:
    """In a process of its own, without the hook of `conftest` that checks annotations: users have none."""
    plain = ["--noconftest", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", "--tb=short", "-W", "error"]
    command = [sys.executable, "-m", "pytest", *plain, "input_properties.py"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


PICTURE = 3 * torch.randn(4, 64, generator=torch.Generator().manual_seed(2))


def pictures(z: Tensor) -> Tensor:
    """A generator of images in [-1, 1]."""
    return (z @ PICTURE).tanh().view(-1, 1, 8, 8)


def codes_of(x: Tensor) -> Tensor:
    return x.flatten(1)[:, :4]


PRIOR = lt.priors.Normal(4)
MEETINGS: dict[str, Callable[[Tensor], object]] = {
    "recover_codes": lambda x: lt.recover_codes(pictures, x, PRIOR, restarts=1),
    "is_from": lambda x: lt.metrics.is_from(pictures, x, PRIOR, calibration=19, restarts=1),
    "evaluate_paths": lambda x: lt.evaluate_paths(
        pictures, PRIOR, reference=x, metric=lambda made, reference: 0.0, count=8, t=(0.5,)
    ),
    "fit_encoder": lambda x: lt.fit_encoder(pictures, x, PRIOR, EncoderSettings(steps=1, batch_size=2, width=2)),
    "quasi_eigenvectors": lambda x: lt.quasi_eigenvectors(
        pictures, lambda x: x.flatten(1)[:, :2], PRIOR, encoder=codes_of, x=x, fewest=1
    ),
}


@pytest.mark.parametrize("name", MEETINGS)
def test_data_in_another_range_than_the_generators_are_refused_wherever_they_meet(name: str) -> None:
    x = pictures(torch.randn(24, 4, generator=torch.Generator().manual_seed(3)))
    MEETINGS[name](x)
    for wrong, way_out in (((x + 1) / 2, "2 * x - 1"), (127.5 * (x + 1), "x / 127.5 - 1")):
        with pytest.raises(ValueError, match=re.escape(way_out)):
            MEETINGS[name](wrong)


def test_answers_with_a_name_serve_wherever_a_classifier_or_an_extractor_does() -> None:
    def classifier(x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2]

    def named(x: Tensor) -> dict[str, Tensor]:
        return {"logits": classifier(x), "hidden": x}

    plain, wrapped = (
        lt.quasi_eigenvectors(pictures, of_x, PRIOR, fewest=1, draws=200, rng=torch.Generator().manual_seed(0))
        for of_x in (classifier, named)
    )
    assert torch.equal(plain.vectors, wrapped.vectors)
    x = pictures(torch.randn(4, 4))
    for extractor in (classifier, lambda x: [classifier(x)], named):
        difference = lt.metrics.Difference(extractor=extractor)
        assert_close(difference.residuals(x + 1, difference.prepare(x))[:, -2:].mean(), torch.tensor(33**0.5))
    with pytest.raises(ValueError, match="expected the classifier to return a tensor"):
        lt.quasi_eigenvectors(pictures, lambda x: (classifier(x), x), PRIOR, fewest=1, draws=200)
