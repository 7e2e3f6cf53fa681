"""Solvers of the recovery objective, batched over codes, and what they share."""

from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.lbfgs import LBFGS
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.latent.solvers.solver import Solver

__all__ = ["LBFGS", "Adam", "LevenbergMarquardt", "Solver"]
