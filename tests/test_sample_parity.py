"""Values on shared features equal to what other packages give, as `benchmarks/sample_metrics_cost.py` wrote them down."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from sample_metrics_cost import parity_features
from torch.testing import assert_close

from latentry.numerics.class_score import class_score, score_terms
from latentry.numerics.frechet import frechet_distance
from latentry.numerics.kernel_distance import kernel_distance
from latentry.numerics.moments import moments
from latentry.numerics.neighbours import neighbour_metrics
from latentry.storage import read_json

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def features() -> tuple[torch.Tensor, torch.Tensor]:
    return parity_features()


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return read_json(ROOT / "evidence" / "benchmarks" / "sample_metrics.json")["parity"]


@pytest.mark.parametrize("peer", ["torch-fidelity", "torchmetrics", "pytorch-fid", "clean-fid"])
def test_frechet_distance(peer: str, features: tuple[torch.Tensor, torch.Tensor], recorded: dict[str, Any]) -> None:
    found = frechet_distance(*map(moments, features)).item()
    assert_close(found, recorded["frechet_distance"][peer], rtol=1e-9, atol=0)


def test_kernel_distance(features: tuple[torch.Tensor, torch.Tensor], recorded: dict[str, Any]) -> None:
    generated, reference = features
    expected = recorded["kernel_distance of the first 300 rows"]["torch-fidelity"]
    assert_close(kernel_distance(generated[:300], reference).value, expected, rtol=1e-9, atol=0)


def test_score(features: tuple[torch.Tensor, torch.Tensor], recorded: dict[str, Any]) -> None:
    found = class_score(moments(score_terms(features[0][:, :10].softmax(1)))).log_value
    assert_close(math.exp(found), recorded["score of the first 10 columns as logits"]["torch-fidelity"], rtol=1e-9, atol=0)


def test_neighbour_metrics(features: tuple[torch.Tensor, torch.Tensor], recorded: dict[str, Any]) -> None:
    found = neighbour_metrics(*features, neighbours=5)
    values = [found.precision, found.recall, found.density, found.coverage]
    assert_close(values, recorded["precision, recall, density, coverage; k = 5"]["prdc"], rtol=1e-12, atol=0)
