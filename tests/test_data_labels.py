import torch
from torch.testing import assert_close

from latentry.data.labels import Labels, classes, signed_attributes


def test_classes_are_numbered_in_the_order_of_their_names() -> None:
    y, names = classes(["dog", "cat", "dog", "ant"])
    assert names == ("ant", "cat", "dog")
    assert_close(y, torch.tensor([2, 1, 2, 0]))


def test_zero_means_absent_where_nothing_is_negative() -> None:
    values, known = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[True, True], [True, False]])
    assert_close(signed_attributes(values, known), torch.tensor([[-1, 1], [1, 0]]))


def test_zero_means_unknown_where_something_is_negative() -> None:
    values = torch.tensor([[0, 1], [-1, 0]])
    assert_close(signed_attributes(values, torch.ones(2, 2, dtype=torch.bool)), values)


def test_items_with_attributes_alone_are_one_stratum() -> None:
    labels = Labels(attributes=torch.ones(3, 2, dtype=torch.int64), attribute_names=("a", "b"))
    assert labels.strata.tolist() == [0, 0, 0]
