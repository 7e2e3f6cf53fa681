"""Rotations, and what they are compared with, where every answer is known."""

import inspect
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from scipy.linalg import expm
from torch import Tensor
from torch.testing import assert_close

import latentry as lt
from latentry.latent import operators
from latentry.latent.operators import phase

D = 7


def codes(rng: torch.Generator, n: int = 5) -> Tensor:
    return torch.randn(n, D, generator=rng, dtype=torch.float64)


def frame(rng: torch.Generator, k: int = 2) -> Tensor:
    """k orthonormal rows."""
    return torch.linalg.qr(torch.randn(D, k, generator=rng, dtype=torch.float64)).Q.mT


def cosine(z: Tensor, target: Tensor) -> Tensor:
    return torch.cosine_similarity(z, target.expand_as(z), dim=1)


def test_the_first_axis_is_turned_onto_the_second_and_the_second_onto_minus_the_first(rng: torch.Generator) -> None:
    a, b = plane = frame(rng)
    assert_close(lt.operators.rotate(torch.stack([a, b]), plane, math.pi / 2), torch.stack([b, -a]))


@pytest.mark.parametrize("angle", [-4.0, 0.3, 1.0])
def test_a_rotation_is_the_exponential_of_its_skew_matrix(angle: float, rng: torch.Generator) -> None:
    z, (a, b) = codes(rng), (plane := frame(rng))
    skew = torch.outer(b, a) - torch.outer(a, b)
    expected = z @ torch.from_numpy(expm(angle * skew.numpy())).mT
    assert_close(lt.operators.rotate(z, plane, angle), expected)
    assert_close(lt.operators.skew_rotation(z, skew, angle), expected)
    assert_close(z @ lt.operators.rotation_matrix(plane, angle).mT, expected)


def test_a_rotation_keeps_norms_and_what_is_outside_its_plane(rng: torch.Generator) -> None:
    z, plane = codes(rng), frame(rng)
    angles = torch.rand(5, generator=rng, dtype=torch.float64)
    turned = lt.operators.rotate(z, plane, angles)
    assert_close(turned.norm(dim=1), z.norm(dim=1))
    assert_close(lt.operators.project_out(turned, plane), lt.operators.project_out(z, plane))
    gained = phase(turned, plane) - phase(z, plane)
    assert_close(gained.remainder(2 * math.pi), angles)


def test_angles_in_one_plane_add_up_and_backwards_undoes(rng: torch.Generator) -> None:
    z, plane = codes(rng), frame(rng)
    assert_close(lt.operators.rotate(lt.operators.rotate(z, plane, 0.4), plane, 0.7), lt.operators.rotate(z, plane, 1.1))
    assert_close(lt.operators.rotate(lt.operators.rotate(z, plane, 2.4), plane, -2.4), z)


def test_each_code_has_its_own_plane_and_angle(rng: torch.Generator) -> None:
    z, planes = codes(rng, 3), torch.stack([frame(rng) for _ in range(3)])
    angles = torch.tensor([0.1, 1.0, -2.0], dtype=torch.float64)
    each = [lt.operators.rotate(z[i : i + 1], planes[i], angles[i].item()) for i in range(3)]
    assert_close(lt.operators.rotate(z, planes, angles), torch.cat(each))


def test_a_rotation_about_a_centre_keeps_the_distance_to_it(rng: torch.Generator) -> None:
    z, plane, centre = codes(rng), frame(rng), torch.linspace(-1, 2, D, dtype=torch.float64)
    turned = lt.operators.rotate(z, plane, 1.0, centre=centre)
    assert_close((turned - centre).norm(dim=1), (z - centre).norm(dim=1))
    assert_close(lt.operators.rotate(centre[None], plane, 1.0, centre=centre), centre[None])
    assert_close(
        phase(lt.operators.rotate_to_phase(z, plane, 0.3, centre=centre) - centre, plane), torch.full((5,), 0.3).double()
    )


def test_a_rotation_leaves_the_normal_prior_as_it_is(rng: torch.Generator) -> None:
    """Holds for a fixed rotation; that of a code by its own phase is no sample of the prior."""
    z, plane = torch.randn(256, D, generator=rng), frame(rng).float()
    prior = lt.priors.Normal(D)
    assert lt.goodness_of_fit(lt.operators.rotate(z, plane, 1.0), prior).passes
    assert not lt.goodness_of_fit(lt.operators.rotate_to_phase(z, plane), prior).passes


def test_turning_to_a_phase_ends_there_whatever_the_start(rng: torch.Generator) -> None:
    z, plane = codes(rng), frame(rng)
    turned = lt.operators.rotate_to_phase(z, plane)
    in_plane = turned @ plane.mT
    assert_close(in_plane[:, 0], torch.zeros(5).double(), atol=1e-12, rtol=0)
    assert_close(in_plane[:, 1], (z @ plane.mT).norm(dim=1))
    assert_close(lt.operators.project_out(turned, plane), lt.operators.project_out(z, plane))


def test_towards_a_direction_the_angle_shrinks_by_as_much_and_not_below_zero(rng: torch.Generator) -> None:
    z, target = codes(rng), 3 * frame(rng, 1)[0]
    before = cosine(z, target).acos()
    turned = lt.operators.rotate_towards(z, target, 0.25)
    assert_close(cosine(turned, target).acos(), before - 0.25)
    assert_close(turned.norm(dim=1), z.norm(dim=1))
    assert torch.linalg.matrix_rank(torch.stack([z[0], target, turned[0]])) == 2
    assert_close(cosine(lt.operators.rotate_towards(z, target, 10.0), target), torch.ones(5).double())


def test_a_code_against_the_direction_has_no_plane_to_turn_in(rng: torch.Generator) -> None:
    z = codes(rng, 1)
    assert_close(lt.operators.rotate_towards(z, -z[0], 0.5), z)
    assert_close(lt.operators.rotate_towards(z, z[0], 0.5), z)
    assert_close(lt.operators.rotate_towards(0 * z, z[0], 0.5), 0 * z)


def test_turning_to_a_component_moves_only_those_that_lack_it_and_no_further(rng: torch.Generator) -> None:
    z, target = codes(rng, 40), frame(rng, 1)[0]
    along = z @ target
    turned = lt.operators.rotate_to_component(z, target, 1.0)
    assert_close(turned[along >= 1], z[along >= 1])
    assert_close(turned @ target, along.clamp(min=1.0))
    assert_close(turned.norm(dim=1), z.norm(dim=1))
    assert_close(cosine(lt.operators.rotate_to_component(z, target, 100.0), target), torch.ones(40).double())


def test_within_a_subspace_all_of_its_component_goes_to_the_target_and_the_rest_stays(rng: torch.Generator) -> None:
    z, rows = codes(rng), frame(rng, 3)
    mixed = torch.randn(3, 3, generator=rng, dtype=torch.float64) @ rows  # the same span
    turned = lt.operators.rotate_within(z, mixed, rows[1])
    assert_close(lt.operators.project_out(turned, rows), lt.operators.project_out(z, rows))
    inside = turned @ rows.mT
    assert_close(inside[:, 1], (z @ rows.mT).norm(dim=1))
    assert_close(inside[:, [0, 2]], torch.zeros(5, 2).double(), atol=1e-9, rtol=0)


def test_a_share_of_the_angle_within_a_subspace(rng: torch.Generator) -> None:
    z, rows = codes(rng), frame(rng, 3)
    before, after = (
        cosine(each @ rows.mT, torch.eye(3)[1].double()) for each in (z, lt.operators.rotate_within(z, rows, rows[1], 0.3))
    )
    assert_close(after.acos(), 0.7 * before.acos())
    assert_close(lt.operators.rotate_within(z, rows, rows[1], 0.0), z)


def test_a_margin_is_reached_by_the_shortest_way_where_there_is_one_rival(rng: torch.Generator) -> None:
    """With two labels the shortest way is in the plane of the code and the difference of the weights."""
    z, weights = codes(rng, 30), torch.randn(2, D, generator=rng, dtype=torch.float64)
    bias, y = torch.tensor([0.2, -0.1]).double(), torch.arange(30) % 2
    scores = z @ weights.mT + bias
    short = scores.gather(1, y[:, None]) - scores.gather(1, 1 - y[:, None]) < 1
    turned = lt.operators.rotate_to_margin(z, weights, bias, y, 1.0)
    moved = turned @ weights.mT + bias
    margins = (moved.gather(1, y[:, None]) - moved.gather(1, 1 - y[:, None])).squeeze(1)
    assert margins.min() >= 1.0
    assert_close(turned.norm(dim=1), z.norm(dim=1))
    assert_close(turned[~short.squeeze(1)], z[~short.squeeze(1)])
    sign = (2.0 * y - 1)[:, None]
    gap = sign * (weights[1] - weights[0])
    wanted = (1 - sign.squeeze(1) * (bias[1] - bias[0])) / gap.norm(dim=1)
    shortest = torch.stack([lt.operators.rotate_to_component(z[i : i + 1], gap[i], wanted[i].item())[0] for i in range(30)])
    ways = [cosine(each, z).clamp(max=1).acos() for each in (turned, shortest)]
    assert ((ways[0] - ways[1]) <= 0.0201).all()
    assert ((ways[0] - ways[1]) >= -1e-6).all()


def test_a_margin_with_many_rivals_beats_all_of_them(rng: torch.Generator) -> None:
    z, weights = codes(rng, 20), 3 * frame(rng, 5)
    y = torch.arange(20) % 5
    turned = lt.operators.rotate_to_margin(z, weights, torch.zeros(5).double(), y, 0.5)
    scores = turned @ weights.mT
    rivals = scores.scatter(1, y[:, None], -math.inf).amax(1)
    assert (scores.gather(1, y[:, None]).squeeze(1) - rivals >= 0.5).all()


def test_a_margin_out_of_reach_ends_at_the_longest_way(rng: torch.Generator) -> None:
    z, weights = codes(rng, 4), frame(rng, 2)
    turned = lt.operators.rotate_to_margin(
        z, weights, torch.zeros(2).double(), torch.zeros(4, dtype=torch.int64), 100.0, most=0.1
    )
    assert_close(cosine(turned, z).acos(), torch.full((4,), 0.1).double())


def test_a_straight_way_to_a_margin_is_the_least_step_and_ends_on_it(rng: torch.Generator) -> None:
    z, weights, bias = codes(rng, 20), 3 * frame(rng, 5), torch.linspace(-0.2, 0.2, 5).double()
    y = torch.arange(20) % 5

    def lead(codes: Tensor) -> Tensor:
        scores = codes @ weights.mT + bias
        return scores.gather(1, y[:, None]).squeeze(1) - scores.scatter(1, y[:, None], -math.inf).amax(1)

    moved = lt.operators.translate_to_margin(z, weights, bias, y, 0.5)
    there = lead(z) >= 0.5
    assert_close(moved[there], z[there])
    assert_close(lead(moved)[~there], torch.full((int((~there).sum()),), 0.5).double())
    others = (weights.sum(0) - weights[y]) / 4
    assert_close(cosine((moved - z)[~there], (weights[y] - others)[~there]), torch.ones(int((~there).sum())).double())


def test_a_straight_way_that_never_arrives_is_as_long_as_it_may_be(rng: torch.Generator) -> None:
    z, weights = codes(rng, 4), frame(rng, 2)
    y = torch.zeros(4, dtype=torch.int64)
    moved = lt.operators.translate_to_margin(z, weights, torch.zeros(2).double(), y, 100.0, most=3.0)
    assert_close((moved - z).norm(dim=1), torch.full((4,), 3.0).double())


def test_each_code_has_its_own_margin_and_smaller_ones_lie_on_the_same_way(rng: torch.Generator) -> None:
    z, weights, bias = codes(rng, 12), 3 * frame(rng, 5), torch.zeros(5).double()
    y = torch.arange(12) % 5
    wanted = torch.linspace(-1, 1, 12).double()
    turned = lt.operators.rotate_to_margin(z, weights, bias, y, wanted)
    alone = [lt.operators.rotate_to_margin(z[i : i + 1], weights, bias, y[i : i + 1], wanted[i].item()) for i in range(12)]
    assert_close(turned, torch.cat(alone))
    assert_close(
        lt.operators.rotate_to_margin(turned, weights, bias, y, 1.5), lt.operators.rotate_to_margin(z, weights, bias, y, 1.5)
    )


def test_a_path_carries_its_first_vector_through_all_the_others(rng: torch.Generator) -> None:
    path = frame(rng, 4)
    for place in range(4):
        assert_close(lt.operators.rotate_along(path[:1], path, float(place)), path[place : place + 1])
    between = lt.operators.rotate_along(path[:1], path, 1.5)
    assert_close(between, ((path[1] + path[2]) / math.sqrt(2))[None])


def test_a_code_gathered_at_the_start_of_a_path_is_on_each_vector_alone_in_turn(rng: torch.Generator) -> None:
    z, path = codes(rng), frame(rng, 4)
    start = lt.operators.rotate_within(z, path, path[0])
    for place in range(4):
        inside = lt.operators.rotate_along(start, path, float(place)) @ path.mT
        assert_close(inside, (z @ path.mT).norm(dim=1)[:, None] * torch.eye(4).double()[place])


def test_a_path_is_a_rotation_and_continuous(rng: torch.Generator) -> None:
    z, path = codes(rng), frame(rng, 4)
    frames = [lt.operators.rotate_along(z, path, t / 100) for t in range(301)]
    assert all(torch.allclose(each.norm(dim=1), z.norm(dim=1)) for each in frames)
    steps = torch.stack([(b - a).norm(dim=1) / z.norm(dim=1) for a, b in pairwise(frames)])
    assert steps.max() <= math.pi / 200 + 1e-9
    assert_close(lt.operators.project_out(frames[-1], path), lt.operators.project_out(z, path))


def test_the_paper_s_transition_leaves_two_codes_of_all(rng: torch.Generator) -> None:
    """Identity is lost: every code is plus or minus the same vector."""
    z, (a, b) = codes(rng, 50), 5 * frame(rng)
    moved = lt.operators.transition(z, a, b)
    ends = (b - b.mean()) / b.std()
    assert_close(moved, (z @ a).sign()[:, None] * ends)
    assert torch.linalg.matrix_rank(lt.operators.transition(z, a, b, standardise=False)) == 1


def test_a_translation_moves_by_its_length_whatever_that_of_the_direction(rng: torch.Generator) -> None:
    z, direction = codes(rng), torch.linspace(1, 5, D, dtype=torch.float64)
    steps = torch.arange(5.0).double()
    assert_close((lt.operators.translate(z, direction, steps) - z).norm(dim=1), steps)
    assert_close(lt.operators.translate(z, 9 * direction, 2.0), lt.operators.translate(z, direction, 2.0))


def test_a_conditional_direction_is_orthogonal_to_its_conditions(rng: torch.Generator) -> None:
    conditions, directions = torch.randn(2, D, generator=rng, dtype=torch.float64), codes(rng)
    found = lt.operators.conditional_direction(directions, conditions)
    assert_close(found @ conditions.mT, torch.zeros(5, 2).double(), atol=1e-12, rtol=0)
    assert_close(found.norm(dim=1), torch.ones(5).double())
    assert_close(found[0], lt.operators.conditional_direction(directions[0], conditions))
    with pytest.raises(ValueError, match="outside the span"):
        lt.operators.conditional_direction(conditions.sum(0), conditions)


def test_a_reflection_is_its_own_inverse_and_turns_the_normal_around(rng: torch.Generator) -> None:
    z, normal = codes(rng), torch.linspace(-1, 4, D, dtype=torch.float64)
    assert_close(lt.operators.reflect(lt.operators.reflect(z, normal), normal), z)
    assert_close(lt.operators.reflect(normal[None], normal), -normal[None])
    assert_close(lt.operators.reflect(z, normal).norm(dim=1), z.norm(dim=1))


def test_two_reflections_are_a_rotation_by_twice_the_angle_between_them(rng: torch.Generator) -> None:
    z, (a, b) = codes(rng), (plane := frame(rng))
    mirror = math.cos(0.4) * a + math.sin(0.4) * b
    assert_close(lt.operators.reflect(lt.operators.reflect(z, a), mirror), lt.operators.rotate(z, plane, 0.8))


def test_projections_part_a_code_into_two_orthogonal_ones(rng: torch.Generator) -> None:
    z, rows = codes(rng), codes(rng, 2)
    repeated = torch.cat([rows, rows.sum(0, keepdim=True)])  # dependent rows span no more
    inside, outside = lt.operators.project_onto(z, repeated), lt.operators.project_out(z, repeated)
    assert_close(inside + outside, z)
    assert_close((inside * outside).sum(1), torch.zeros(5).double(), atol=1e-12, rtol=0)
    assert_close(inside, z @ torch.linalg.pinv(rows) @ rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operators_keep_the_kind_of_the_codes(dtype: torch.dtype, rng: torch.Generator) -> None:
    z, rows = codes(rng).to(dtype), frame(rng, 3).float()
    moved = [
        lt.operators.rotate(z, rows[:2], 0.5),
        lt.operators.rotate_towards(z, rows[0], 0.5),
        lt.operators.rotate_to_component(z, rows[0], 1.0),
        lt.operators.rotate_within(z, rows, rows[0]),
        lt.operators.rotate_along(z, rows, 1.2),
        lt.operators.skew_rotation(z, torch.zeros(D, D)),
        lt.operators.transition(z, rows[0], rows[1]),
        lt.operators.translate(z, rows[0], 1.0),
        lt.operators.reflect(z, rows[0]),
        lt.operators.project_out(z, rows),
    ]
    assert all(each.dtype == dtype for each in moved)


SMALL = torch.eye(4)


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        (
            lt.operators.rotate,
            (
                2 * SMALL[:2],
                1.0,
            ),
            "orthonormal rows.*basis.plane",
        ),
        (
            lt.operators.rotate,
            (
                SMALL[[0, 0]],
                1.0,
            ),
            "orthonormal rows",
        ),
        (
            lt.operators.rotate,
            (
                torch.full((2, 4), math.nan),
                1.0,
            ),
            "orthonormal rows",
        ),
        (
            lt.operators.rotate,
            (
                torch.eye(5)[:2],
                1.0,
            ),
            r"shape \(2, 4\)",
        ),
        (
            lt.operators.rotate,
            (
                SMALL[:2],
                math.nan,
            ),
            "finite angle",
        ),
        (
            lt.operators.rotate,
            (
                SMALL[:2],
                torch.zeros(3),
            ),
            "one for each of 2 codes",
        ),
        (
            lt.operators.rotate_towards,
            (
                SMALL[0],
                -1.0,
            ),
            "opposite direction",
        ),
        (
            lt.operators.rotate_towards,
            (
                0 * SMALL[0],
                1.0,
            ),
            "other than 0",
        ),
        (
            lt.operators.rotate_towards,
            (
                torch.ones(5),
                1.0,
            ),
            "one direction of length 4",
        ),
        (
            lt.operators.rotate_within,
            (
                SMALL[:2],
                SMALL[0],
                1.5,
            ),
            r"in \[0, 1\]",
        ),
        (
            lt.operators.rotate_within,
            (
                SMALL[:2],
                SMALL[3],
            ),
            "other than 0",
        ),
        (
            lt.operators.rotate_along,
            (
                SMALL,
                3.1,
            ),
            r"t in \[0, 3\]",
        ),
        (
            lt.operators.rotate_along,
            (
                SMALL[:1],
                0.0,
            ),
            "two rows or more",
        ),
        (
            lt.operators.rotate_along,
            (
                SMALL + 1,
                1.0,
            ),
            "orthonormal rows",
        ),
        (lt.operators.skew_rotation, (SMALL,), "skew-symmetric"),
        (lt.operators.project_onto, (torch.ones(1, 5),), r"shape \(k, 4\)"),
        (
            lt.operators.rotate_to_margin,
            (
                SMALL,
                torch.zeros(4),
                torch.tensor([0, 4]),
                1.0,
            ),
            r"label in 0\.\.3",
        ),
        (
            lt.operators.rotate_to_margin,
            (
                SMALL,
                torch.zeros(3),
                torch.tensor([0, 1]),
                1.0,
            ),
            "weights",
        ),
        (
            lt.operators.rotate_to_margin,
            (SMALL, torch.zeros(4), torch.tensor([0, 1]), torch.ones(3)),
            "one for each of 2 codes",
        ),
        (lt.operators.transition, (SMALL[0, :1], SMALL[0, :1]), "two elements"),
    ],
)
def test_bad_input_is_refused(operator: Callable[..., Tensor], arguments: tuple[Any, ...], message: str) -> None:
    z = torch.ones(2, 1 if operator is lt.operators.transition else 4)
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(operator)(z, *arguments)  # as users have it, whose annotations nobody checks


def test_every_operator_is_at_the_front_door() -> None:
    assert {*operators.__all__} == {*lt.operators.__all__}
