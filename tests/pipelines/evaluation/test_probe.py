"""The linear probe is scikit-learn's logistic regression on standardised features, the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from models.contract import Event
from pipelines.evaluation.metrics.probe import ITERATIONS, probe_accuracy, raw_numbers


def blobs(n: int, seed: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Three classes around corners of a triangle, in units of very different size."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    x = random.normal(size=(n, 2)) + apart * np.array([[0, 0], [1, 0], [0, 1]])[labels]
    return (x * [1000, 0.001] + [5, 7]).astype(np.float32), labels


def test_it_is_a_logistic_regression_of_standardised_features() -> None:
    (train, of_train), (test, of_test) = blobs(300, 0, 2.0), blobs(200, 1, 2.0)
    mean, std = train.astype(float).mean(0), train.astype(float).std(0)
    direct = LogisticRegression(max_iter=ITERATIONS).fit((train - mean) / std, of_train)
    expected = (direct.predict((test - mean) / std) == of_test).mean()
    assert 0.7 < expected < 0.95
    assert probe_accuracy(train, of_train, test, of_test) == expected == probe_accuracy(train, of_train, test, of_test)


def test_what_is_apart_is_told_apart_and_chance_is_chance() -> None:
    (train, of_train), (test, of_test) = blobs(300, 0, 20.0), blobs(200, 1, 20.0)
    assert probe_accuracy(train, of_train, test, of_test) == 1
    (train, of_train), (test, of_test) = blobs(300, 0, 0.0), blobs(1000, 1, 0.0)
    assert probe_accuracy(train, of_train, test, of_test) == pytest.approx(1 / 3, abs=0.06)
    assert probe_accuracy(0 * train, of_train, 0 * test, of_test) == pytest.approx(1 / 3, abs=0.06), "no feature varies"


def test_it_is_not_measured_where_nothing_can_be() -> None:
    x, labels = blobs(20, 0, 1.0)
    assert probe_accuracy(x, 0 * labels, x, labels) is None
    broken = np.where(np.arange(20)[:, None] == 3, np.nan, x)
    assert probe_accuracy(broken, labels, x, labels) is None is probe_accuracy(x, labels, broken, labels)


def test_raw_numbers_are_those_of_the_data_and_names_are_counted() -> None:
    x = torch.tensor([[[[0, 3]]], [[[2, 1]]]], dtype=torch.uint8)
    assert raw_numbers(x, Event((1, 1, 2), 4)).tolist() == [[0, 3], [2, 1]]
    assert raw_numbers(x, Event((1, 1, 2), 4, ordered=False)).tolist() == [
        [1, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 1, 0, 0],
    ]
    assert raw_numbers(torch.tensor([[1.5, -2.0]]), Event((2,), None)).tolist() == [[1.5, -2.0]]
