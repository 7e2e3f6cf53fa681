r"""Operators on codes: rotations, reflections, projections, translations, and the transition that they are compared with.

A rotation keeps the norm of every code. It also keeps the distribution N(0, I): if z is from the prior and R does not depend
on z, then R z is from the prior. In the plane of two orthonormal vectors a and b,

.. math:: R = I + (\cos\theta - 1)(a a^T + b b^T) + \sin\theta \, (b a^T - a b^T)

turns a towards b and does not change the other d - 2 dimensions. It costs O(d) for each code, and no matrix is built. Every
rotation is a product of such rotations, and the exponential of a skew-symmetric matrix, :math:`R(t) = e^{t A}`,
:math:`A^T = -A`.

*From label a to label b.* A code has the components :math:`(c_a, c_b) = r (\cos\varphi, \sin\varphi)` in the plane of two
label vectors. Its phase :math:`\varphi` can have any value. So there are several rotations from a to b:

=========================  =========================================================================================
`rotate`                   by one angle for all codes. By 90 degrees, it takes :math:`\xi_a` to :math:`\xi_b`. A code
                           whose phase is not 0 does not end on b. The same angle backwards undoes it.
`rotate_to_phase`          by an angle of each code's own, so that its phase ends on b. Components on labels other than a
                           and b stay as they are.
`rotate_within`            of the component in the span of all label vectors, onto :math:`\xi_b` or part of the way. Then
                           no component on another label is left.
`rotate_towards`,          of the whole code towards a direction, in the plane of both: by an angle, or until the component
`rotate_to_component`      along the direction is large enough.
`rotate_to_margin`         until a linear classifier of codes gives b with a margin, along the gradient of the margin. Each
                           code is turned only as far as it needs.
=========================  =========================================================================================

The last four turn each code by another angle. They keep each norm exactly. The turned codes together are not distributed as
the prior: they have larger components on b, as codes with the label b have.

*Along a path* :math:`\xi_0 \to \xi_1 \to \dots`, t from 0 to k - 1 is the composition of quarter turns

.. math::
    R(t) = R_{j, j+1}\big((t - j) \pi / 2\big) \, R_{j-1, j}(\pi / 2) \cdots R_{0, 1}(\pi / 2), \qquad j = \lfloor t \rfloor,

which takes :math:`\xi_0` to each vector of the path in turn. Components outside the path stay. A code of label 0 has
components on the other label vectors too. After `rotate_within` onto :math:`\xi_0` it has none, and the path alone decides
which label it has.

The *transition* of Toledo-Marin and Glazier is :math:`T = \xi_b \xi_a^T`, of rank one, after which each code is standardised
over its own elements. Every code ends on plus or minus one vector: all codes have the label b, and nothing else of a code is
kept. *Translation* along the normal of a linear boundary is the edit of Shen et al. It changes the norm. A conditional
direction, from which other directions are projected out, does not change the components on these.

All operators are differentiable in codes, vectors and angles. `numerics.inputs` lists the inputs that they accept; numpy
arrays are among them.

References: Toledo-Marin and Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
2023; Golub and Van Loan, "Matrix computations", 2013, ch. 5 (rotations, reflections); Shen et al., "Interpreting the latent
space of GANs for semantic face editing", 2020 (InterFaceGAN: translation, conditional directions).
"""

from latentry.latent.operators.margins import rotate_to_margin, translate_to_margin
from latentry.latent.operators.projections import project_onto, project_out, reflect
from latentry.latent.operators.rotations import (
    phase,
    rotate,
    rotate_along,
    rotate_to_phase,
    rotation_matrix,
    skew_rotation,
)
from latentry.latent.operators.rotations_towards import rotate_to_component, rotate_towards, rotate_within
from latentry.latent.operators.translations import conditional_direction, transition, translate

__all__ = [
    "conditional_direction",
    "phase",
    "project_onto",
    "project_out",
    "reflect",
    "rotate",
    "rotate_along",
    "rotate_to_component",
    "rotate_to_margin",
    "rotate_to_phase",
    "rotate_towards",
    "rotate_within",
    "rotation_matrix",
    "skew_rotation",
    "transition",
    "translate",
    "translate_to_margin",
]
