"""Strokes drawn with a known pen, angle and length."""

import inspect
import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, pad
from torch.testing import assert_close

from latentry.evaluation.strokes import measure_strokes, stroke_attributes, stroke_correlations

OVER = 16
"""Squares to a side of a pixel; ink is the share of them that is covered."""


def places(side: int = 28) -> tuple[Tensor, Tensor]:
    """x to the right and y upwards of all squares, 0 in the middle."""
    c = (torch.arange(side * OVER).double() + 0.5) / OVER - side / 2
    return c[None, :], -c[:, None]


def painted(covered: Tensor) -> Tensor:
    """Image `(1, h, w)` in [-1, 1] of what is covered."""
    side = len(covered) // OVER
    return (2 * covered.double().view(side, OVER, side, OVER).mean((1, 3)) - 1)[None].float()


def line(
    thickness: float, length: float, degrees: float, centre: tuple[float, float] = (0.0, 0.0), side: int = 28
) -> Tensor:
    """A pen with a round tip drawn along `length`, `degrees` away from upright to the right."""
    x, y = places(side)
    x, y, angle = x - centre[0], y - centre[1], math.radians(degrees)
    along, across = x * math.sin(angle) + y * math.cos(angle), x * math.cos(angle) - y * math.sin(angle)
    return painted(((along.abs() - length / 2).clamp(min=0) ** 2 + across**2).sqrt() <= thickness / 2)


def ring(radius: float, thickness: float) -> Tensor:
    x, y = places()
    return painted(((x**2 + y**2).sqrt() - radius).abs() <= thickness / 2)


@pytest.mark.parametrize("thickness", [2.0, 3.0, 4.0])
@pytest.mark.parametrize("degrees", [0.0, 10.0, 22.5, 45.0, 70.0, 90.0])
def test_a_line_has_the_thickness_of_its_pen_and_its_own_length(thickness: float, degrees: float) -> None:
    found = measure_strokes(line(thickness, 16.0, degrees, centre=(0.2, 0.3))[None])
    assert abs(found.thickness.item() / thickness - 1) < 0.12
    assert abs(found.length.item() - 16) < 2.6


def test_over_all_directions_thickness_has_no_bias() -> None:
    found = measure_strokes(torch.stack([line(3.0, 16.0, degrees) for degrees in range(0, 180, 9)]))
    assert abs(found.thickness.mean().item() / 3 - 1) < 0.03


@pytest.mark.parametrize(("radius", "thickness"), [(8.0, 2.0), (8.0, 4.0), (6.0, 3.0)])
def test_a_ring_has_no_ends(radius: float, thickness: float) -> None:
    found = measure_strokes(ring(radius, thickness)[None])
    assert abs(found.thickness.item() / thickness - 1) < 0.03
    assert abs(found.length.item() / (2 * math.pi * radius) - 1) < 0.02
    assert abs(found.size.item() - math.hypot(radius, thickness / 2)) < 0.05  # radius of gyration of a ring, exactly


@pytest.mark.parametrize("radius", [2.0, 4.0, 6.0])
def test_a_dot_is_as_thick_as_it_is_wide(radius: float) -> None:
    found = measure_strokes(ring(0.0, 2 * radius)[None])
    assert abs(found.thickness.item() / (2 * radius) - 1) < 0.06
    assert abs(found.size.item() - radius / math.sqrt(2)) < 0.05
    assert abs(found.slant.item()) < 1e-6


@pytest.mark.parametrize("degrees", [-40.0, -10.0, 0.0, 15.0, 45.0])
def test_the_slant_of_a_thin_line_is_its_angle(degrees: float) -> None:
    found = measure_strokes(line(2.0, 18.0, degrees)[None])
    assert abs(found.slant.rad2deg().item() - degrees) < 1.5


def test_a_shear_adds_to_the_tangent_of_the_slant() -> None:
    """Of any drawing, here an upright ellipse with a hole."""
    x, y = places()
    slants = []
    for tangent in (-0.4, 0.0, 0.3):
        upright = x - tangent * y
        distance = (upright / 5) ** 2 + (y / 9) ** 2
        slants.append(measure_strokes(painted((distance < 1) & (distance > 0.3))[None]).slant.tan().item())
    assert slants == pytest.approx([-0.4, 0.0, 0.3], abs=0.01)


def test_a_mirror_changes_the_sign_of_the_slant_alone() -> None:
    x = torch.stack([line(3.0, 14.0, 25.0), line(2.0, 9.0, -10.0, centre=(3.0, -4.0))])
    found, mirrored = measure_strokes(x), measure_strokes(x.flip(3))
    assert_close(mirrored.slant, -found.slant)
    assert_close(mirrored.size, found.size)
    assert_close(mirrored.thickness, found.thickness, rtol=0.1, atol=0)


def test_a_shift_by_whole_pixels_changes_nothing() -> None:
    x = line(3.0, 10.0, 20.0)[None]
    for name, value in stroke_attributes(x.roll((4, -3), (2, 3))).items():
        assert_close(value, stroke_attributes(x)[name], msg=name, rtol=1e-4, atol=1e-6)


def test_twice_as_large_is_twice_as_thick_and_as_slanted_as_before() -> None:
    small, large = measure_strokes(line(2.5, 10.0, 20.0)[None]), measure_strokes(line(5.0, 20.0, 20.0, side=56)[None])
    assert_close(large.thickness, 2 * small.thickness, rtol=0.05, atol=0)
    assert_close(large.size, 2 * small.size, rtol=0.02, atol=0)
    assert_close(large.slant, small.slant, rtol=0, atol=0.02)


def test_a_wider_ground_changes_nothing() -> None:
    x = line(3.0, 14.0, 25.0)[None]
    found, wider = stroke_attributes(x), stroke_attributes(pad(x, (2, 5, 1, 0), value=-1.0))
    for name in found:
        assert_close(wider[name], found[name], msg=name, rtol=1e-4, atol=1e-6)


def test_fainter_ink_changes_the_intensity_alone() -> None:
    x = line(3.0, 14.0, 25.0)[None]
    full, half = measure_strokes(x), measure_strokes((x + 1) / 2 - 1)
    assert_close(half.intensity, full.intensity / 2)
    assert_close(half.thickness, full.thickness)
    assert_close(half.slant, full.slant)


def test_a_blurred_edge_stays_in_its_place() -> None:
    x = torch.stack([line(4.0, 14.0, degrees) for degrees in range(0, 180, 9)])
    blurred = 2 * avg_pool2d(pad((x + 1) / 2, (1, 1, 1, 1)), 2, stride=1)[..., :28, :28] - 1
    assert_close(measure_strokes(blurred).thickness.mean(), measure_strokes(x).thickness.mean(), rtol=0.05, atol=0)


def test_turning_a_drawing_leaves_thickness_and_size() -> None:
    """An angular drawing with a junction and a loop, turned by 25 degrees."""
    x = torch.maximum(torch.maximum(ring(4.0, 2.5), line(2.5, 10.0, 90.0)), line(2.5, 12.0, 0.0, centre=(4.0, 0.0)))[None]
    cos, sin = math.cos(math.radians(25)), math.sin(math.radians(25))
    turn = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])
    turned = grid_sample(
        x, affine_grid(turn, list(x.shape), align_corners=False), padding_mode="border", align_corners=False
    )
    before, after = measure_strokes(x), measure_strokes(turned.clamp(-1, 1))
    assert_close(after.thickness, before.thickness, rtol=0.06, atol=0)
    assert_close(after.size, before.size, rtol=0.02, atol=0)


def test_a_stroke_may_touch_the_border() -> None:
    x = torch.full((1, 1, 28, 28), -1.0)
    x[..., :3] = 1.0
    assert abs(measure_strokes(x).thickness.item() - 3) < 0.4


def test_blank_images_have_no_measures_and_leave_the_others_alone() -> None:
    x = torch.stack([torch.full((1, 28, 28), -1.0), line(3.0, 14.0, 25.0), torch.full((1, 28, 28), -0.95)])
    found = measure_strokes(x)
    assert found.blank.tolist() == [True, False, True]
    assert found.slant.isnan().tolist() == found.intensity.isnan().tolist() == [True, False, True]
    assert_close(found.thickness[1:2], measure_strokes(x[1:2]).thickness)


@pytest.mark.parametrize("x", [torch.zeros(2, 3, 8, 8), torch.zeros(0, 1, 8, 8), torch.full((1, 1, 8, 8), 2.0)])
def test_what_is_no_grey_image_is_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected (grey )?images"):
        inspect.unwrap(measure_strokes)(x)  # as users have it, whose annotations nobody checks


def test_a_look_is_kept_by_itself_and_lost_by_others(rng: torch.Generator) -> None:
    x = torch.full((60, 1, 28, 28), -1.0)
    for image, width in zip(x, torch.randint(2, 7, (60,), generator=rng).tolist(), strict=True):
        image[:, 4:24, 8 : 8 + width] = 1.0  # bars of several widths
    y = torch.arange(60) % 2
    assert stroke_correlations(x, y, x, y)["thickness"] == pytest.approx(1.0)
    assert abs(stroke_correlations(x, y, x[torch.randperm(60, generator=rng)], y)["thickness"]) < 0.5
