r"""Latent spectral decomposition: a basis of codes from the mean codes of labels.

With a classifier C of what a generator G makes, every code has a label, :math:`\arg\max C(G(z))`, and every label l a mean
code :math:`\eta_l`. Toledo-Marín and Glazier make a basis of them:

1. Block 1: up to 5,000 codes of each label from an encoder of data, or from the prior; their means, in the order of labels.
2. Blocks 2 to d / k: the same from the prior.
3. V, all means in order, is made orthonormal by modified Gram-Schmidt, then scaled so that a row is as long as a typical
   code (:math:`\sqrt d` for a normal prior). The first k rows are the labels' *quasi-eigenvectors* :math:`\xi_l`.

Averages are over the codes that are there. That construction is `quasi_eigenvectors_toledo2023`. It leaves room:

- **Order.** Gram-Schmidt leaves label 0 as it is and twists the last one most; Loewdin treats all alike.
- **Rank.** For codes of the prior :math:`\sum_l p_l \eta_l = E[z]`, for a centred prior 0: the k means have only k - 1
  dimensions, and the last row of Gram-Schmidt is what sampling noise leaves. So here means are centred, which makes the
  k - 1 dimensions exact, and then lifted along one further direction b,

  .. math:: v_l = \eta_l - o + \frac{r}{\sqrt{k - 1}} \, b , \qquad
            o = \frac1k \sum_l \eta_l, \quad r^2 = \frac1k \sum_l \lVert \eta_l - o \rVert^2 ,

  as the corners of a regular simplex are lifted to an orthogonal frame. All labels share b, so that it has no say in which
  label wins; it is the direction in which codes of one label vary least.
- **Doubt.** The class probabilities weigh each code for each label: :math:`\eta_l` is then :math:`E[z \mid y = l]` for a
  label drawn from them, from the same codes with less noise.
- **The rest.** Blocks 2 to d / k estimate the means of block 1 again: what Gram-Schmidt makes of their differences is a
  random completion. Here it is the principal directions of what is left: of the scatter within labels, beside the labelled
  rows.

Reference: Toledo-Marín, Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space", 2023.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from latentry.display.progress import Progress, reported
from latentry.holding import Condition, as_condition
from latentry.interfaces import Generator, Prior
from latentry.latent.basis_files import load_basis, save_basis
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.label_draws import Labelled, Weighting, labelled_codes, labelled_data, labelling
from latentry.latent.label_means import check_dimensions, labelled_by, lifted, principal_rest
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis, energy_share, label_ranks, spectral_labels
from latentry.numerics.inputs import checked
from latentry.numerics.orthogonalization import complete, gram_schmidt, loewdin

__all__ = [
    "Complement",
    "Orthogonalization",
    "QuasiEigenbasis",
    "Weighting",
    "basis_from_codes",
    "energy_share",
    "label_ranks",
    "load_basis",
    "quasi_eigenvectors",
    "quasi_eigenvectors_toledo2023",
    "save_basis",
    "spectral_labels",
]

Orthogonalization = Literal["loewdin", "gram-schmidt"]
"""How the rows of labels are made orthonormal."""
Complement = Literal["principal", "noise", "blocks"]
"""What follows them: principal directions of what is left, random ones, or the labels' means again from further samples."""


@checked()
def quasi_eigenvectors(
    generator: Generator,
    classifier: Callable[[Tensor], Tensor],
    prior: Prior,
    *,
    encoder: Callable[[Tensor], Tensor] | None = None,
    x: Shaped[Tensor, "n *s"] | None = None,
    condition: Condition | None = None,
    per_label: int = 5000,
    blocks: int | None = None,
    orthogonalization: Orthogonalization = "loewdin",
    centred: bool = True,
    weighting: Weighting = "confidence",
    complement: Complement = "principal",
    fewest: int = 20,
    draws: int | None = None,
    batch_size: int = 250,
    rng: torch.Generator | None = None,
    progress: Progress = True,
) -> QuasiEigenbasis:
    """Directions that bear the labels of a classifier, and a completion to a basis of all codes.

    Codes stream through generator and classifier: memory is that of one batch and one d x d matrix.

    Reference: the module's theory. For the paper's own construction see `quasi_eigenvectors_toledo2023`.

    Args:
        generator: Any callable z -> x, or (z, condition) -> x; modules behind it are held in eval mode meanwhile.
        classifier: Any callable x -> logits `(n, k)`, k >= 2; modules behind it are held in eval mode meanwhile.
        prior: Distribution of the codes.
        encoder: Callable x -> codes, such as `lt.encoders.Inverse`: with `x` the labels' means are of codes of data. The
            label of a code is that of what the generator makes of it, as in the paper.
        x: The data.
        condition: Conditions of a conditional generator: one row for each datum, or, without data, any number of rows. Codes
            that are drawn get one of these, drawn anew.
        per_label: Codes wanted for each label. Counted ones beyond are left out; with `weighting="confidence"` all count,
            until the rarest label has as many.
        blocks: Blocks of means with `complement="blocks"`; as many as codes have dimensions by default.
        orthogonalization: How the labelled rows are made orthonormal.
        centred: Whether the mean of the labels' means is taken off first.
        weighting: Each code counts once for its label, or for every label by its probability.
        complement: What follows the labelled rows.
        fewest: Codes below which a label's mean is refused.
        draws: Codes of the prior to try for a block at most; 2.5 times `per_label` for each label by default, as in the
            paper. A rare label has a mean over what was found by then.
        batch_size: Codes that go through the networks at once.
        rng: Source of the codes, on the prior's device.
        progress: Called as `progress(done, total)` after each batch, with the most codes that may be needed as total; by
            default a bar is shown on a terminal.

    Raises:
        ValueError: A label has too few codes or is never predicted, there are more labels than dimensions, only one of
            encoder and data is given, the logits are no such, or a number is outside its range.

    Example:
        >>> import torch, latentry as lt
        >>> prior = lt.priors.Normal(4)
        >>> basis = lt.quasi_eigenvectors(torch.tanh, lambda x: 9 * x[:, :3], prior, per_label=100)
        >>> basis.vectors.shape, basis.num_labels
        (torch.Size([4, 4]), 3)
    """
    _check_options(orthogonalization, complement, get_args(Complement), blocks)
    if weighting not in get_args(Weighting):
        raise ValueError(f"expected weighting to be one of {get_args(Weighting)}, got {weighting!r}")
    if (encoder is None) != (x is None):
        raise ValueError("expected both an encoder and data, or neither; pass x along with encoder")
    if min(per_label, fewest, batch_size) < 1 or (draws is not None and draws < 1):
        raise ValueError(
            f"expected per_label, fewest, batch_size and draws >= 1, got {per_label}, {fewest}, {batch_size} and {draws}"
        )
    bar = reported(progress, "drawing codes of each label")
    condition = as_condition(condition, None if x is None else len(x))
    with labelling(generator, classifier, prior, encoder, condition) as label, bar as tell:
        num_labels, d = label.num_labels, prior.latent_dim
        check_dimensions(num_labels, d)
        num_blocks = (blocks or math.ceil(d / num_labels)) if complement == "blocks" else 1
        budget = math.ceil(2.5 * num_labels * per_label) if draws is None else draws
        from_data = 0 if x is None else len(x)
        total = from_data + budget * (num_blocks - (x is not None))
        done = 0

        def count(codes: int) -> None:
            nonlocal done
            done += codes
            if tell is not None:
                tell(min(done, total), total)

        def block(of_data: bool) -> Labelled:
            if of_data:
                assert x is not None
                found = labelled_data(label, x, per_label, weighting, batch_size, count)
            else:
                found = labelled_codes(label, per_label, weighting, batch_size, budget, rng, count)
            found.check(fewest, from_data if of_data else budget)
            return found

        first = block(x is not None)
        later = [block(False).groups.means for _ in range(num_blocks - 1)]
        if tell is not None:
            tell(total, total)
    further = torch.cat(later) if later else first.groups.means[:0]
    basis = _assembled(first, further, orthogonalization, centred, complement, rng)
    return replace(basis, generator_fingerprint=fingerprint_of(generator), prior=repr(prior))


def quasi_eigenvectors_toledo2023(
    generator: Generator,
    classifier: Callable[[Tensor], Tensor],
    prior: Prior,
    *,
    encoder: Callable[[Tensor], Tensor] | None = None,
    x: Shaped[Tensor, "n *s"] | None = None,
    condition: Condition | None = None,
    per_label: int = 5000,
    blocks: int | None = None,
    fewest: int = 20,
    draws: int | None = None,
    batch_size: int = 250,
    rng: torch.Generator | None = None,
    progress: Progress = True,
) -> QuasiEigenbasis:
    """The basis of the paper: label means block by block, modified Gram-Schmidt in order, the norm of a typical code.

    It departs from the authors' program where that errs: a label that falls short of `per_label` is averaged over the codes
    that are there, not over zeros. Arguments and errors are those of `quasi_eigenvectors`.

    Reference: Toledo-Marín and Glazier (2023).

    Example:
        >>> import torch, latentry as lt
        >>> prior = lt.priors.Normal(4)
        >>> basis = lt.directions.quasi_eigenvectors_toledo2023(torch.tanh, lambda x: 9 * x[:, :2], prior, per_label=100)
        >>> basis.method, basis.num_labels
        ('gram-schmidt', 2)
    """
    return quasi_eigenvectors(
        generator,
        classifier,
        prior,
        encoder=encoder,
        x=x,
        condition=condition,
        per_label=per_label,
        blocks=blocks,
        orthogonalization="gram-schmidt",
        centred=False,
        weighting="count",
        complement="blocks",
        fewest=fewest,
        draws=draws,
        batch_size=batch_size,
        rng=rng,
        progress=progress,
    )


@checked()
def basis_from_codes(
    z: Float[Tensor, "n d"],
    y: Int[Tensor, "labels"] | Float[Tensor, "labels k"],
    *,
    orthogonalization: Orthogonalization = "loewdin",
    centred: bool = True,
    complement: Literal["principal", "noise"] = "principal",
    fewest: int = 2,
    generator: Generator | None = None,
    prior: Prior | None = None,
    rng: torch.Generator | None = None,
) -> QuasiEigenbasis:
    """Directions that bear the labels of given codes, and a completion to a basis of all codes.

    Reference: the module's theory.

    Args:
        z: Codes.
        y: Label of each, from 0 to k - 1, or its class probabilities, which then weigh it.
        orthogonalization: How the labelled rows are made orthonormal.
        centred: Whether the mean of the labels' means is taken off first.
        complement: What follows the labelled rows.
        fewest: Codes below which a label's mean is refused.
        generator: What the codes belong to: its weights are noted, so that the basis is not taken for another's.
        prior: Distribution of the codes, noted as well.
        rng: Source of random directions with `complement="noise"`, on the codes' device.

    Raises:
        ValueError: A label has too few codes, there are more labels than dimensions, or codes and labels do not fit.

    Example:
        >>> import torch, latentry as lt
        >>> z, y = torch.randn(300, 5), torch.arange(300) % 3
        >>> basis = lt.directions.basis_from_codes(z, y)
        >>> basis.vectors.shape, basis.num_labels, basis.orthogonal
        (torch.Size([5, 5]), 3, True)
    """
    _check_options(orthogonalization, complement, ("principal", "noise"), None)
    labelled = labelled_by(z, y)
    if y.ndim == 1 and (empty := sorted(set(range(int(y.max()))) - set(y.tolist()))):
        raise ValueError(
            f"expected a code of each label from 0 to {int(y.max())}, got none of {', '.join(map(str, empty[:10]))}; number "
            "labels from 0 without a gap, with y.unique(return_inverse=True)[1]"
        )
    check_dimensions(len(labelled.groups.counts), z.shape[1])
    labelled.check(fewest, len(z))
    basis = _assembled(labelled, None, orthogonalization, centred, complement, rng)
    return replace(
        basis,
        generator_fingerprint=None if generator is None else fingerprint_of(generator),
        prior=None if prior is None else repr(prior),
    )


def _assembled(
    labelled: Labelled,
    further_means: Float[Tensor, "c d"] | None,
    orthogonalization: Orthogonalization,
    centred: bool,
    complement: Complement,
    rng: torch.Generator | None,
) -> QuasiEigenbasis:
    """The basis of these labelled codes, in float64 until its end."""
    means = labelled.groups.means
    offset = means.mean(0) if centred else torch.zeros_like(means[0])
    v = lifted(means - offset, labelled.groups.within) if centred else means
    rows = (loewdin if orthogonalization == "loewdin" else gram_schmidt)(v)
    if complement == "blocks":
        assert further_means is not None
        candidates = further_means - offset
        v = torch.cat([v, candidates])
    elif complement == "noise":
        noise = torch.randn(len(offset), len(offset), generator=rng, device=labelled.sample.device, dtype=torch.float32)
        candidates = noise.to(rows)
    else:
        candidates = principal_rest(rows, labelled.groups.within)
    like = labelled.sample
    return QuasiEigenbasis(
        vectors=(complete(rows, candidates) * labelled.typical_norm(offset)).to(like),
        num_labels=len(means),
        offset=offset.to(like),
        method=orthogonalization,
        label_means=means.to(like),
        counts=tuple(labelled.groups.counts.tolist()),
        condition_number=torch.linalg.cond(v[: v.shape[1]]).item(),
    )


def _check_options(orthogonalization: str, complement: str, complements: tuple[str, ...], blocks: int | None) -> None:
    if orthogonalization not in get_args(Orthogonalization) or complement not in complements:
        raise ValueError(
            f"expected orthogonalization to be one of {get_args(Orthogonalization)} and complement one of {complements}, "
            f"got {orthogonalization!r} and {complement!r}"
        )
    if blocks is not None and (complement != "blocks" or blocks < 1):
        raise ValueError(f'expected blocks >= 1 along with complement="blocks", got {blocks} with {complement!r}')
