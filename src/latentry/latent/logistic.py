r"""Logistic regression on codes, solved to the optimum, independent of origin and units.

Minimised is the log loss summed over codes and half the weight times the squared weights of the classifier; it is strictly
convex in these. Neither the origin of codes nor a common unit changes it, but for the weight that goes with the unit, so
that both are taken off first. Newton's method then does not care for units of single coordinates. (The default of
scikit-learn, L-BFGS, stops short on coordinates of very different spread.)
"""

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["logistic_regression"]

_LARGEST_HESSIAN = 2048
"""Rows of a second derivative that is factored; beyond, conjugate gradients take its products."""


def logistic_regression(
    z: Float[Tensor, "n d"], y: Int[Tensor, "n"], strength: float
) -> tuple[Float[Tensor, "k d"], Float[Tensor, "k"]]:
    """Weights and bias of the score of each label, or of label 1 against label 0 alone where there are two.

    Args:
        z: Codes.
        y: Label of each, from 0 to k - 1, all of which occur.
        strength: Weight of the squared weights.

    Raises:
        ValueError: No optimum was reached: codes are so large beside the strength that weights are free, and labels are
            separated without error.
    """
    from sklearn.linear_model import LogisticRegression

    codes = z.double()
    origin = codes.mean(0)
    centred = codes - origin
    unit = centred.square().mean().sqrt().item() or 1.0
    k = int(y.max()) + 1
    factored = (1 if k == 2 else k) * z.shape[1] <= _LARGEST_HESSIAN
    solver, tolerance = ("newton-cholesky", 1e-12) if factored else ("newton-cg", 1e-10)
    model = LogisticRegression(C=unit**2 / strength, solver=solver, tol=tolerance, max_iter=1000)
    with warnings.catch_warnings(record=True) as caught:  # one solver may pass the work on to another, which is no news
        warnings.simplefilter("always")
        model.fit((centred / unit).cpu().numpy(), y.cpu().numpy())
    if any("failed to converge" in str(one.message) for one in caught):
        raise ValueError(
            f"expected codes beside whose spread the strength counts, got {unit:.3g} and {strength:.3g}, without an optimum "
            "within reach; bring codes to a spread near 1, or raise the strength"
        )
    weights = torch.from_numpy(model.coef_).to(codes) / unit
    return weights, torch.from_numpy(model.intercept_).to(codes) - weights @ origin
