"""What is measured: a finished family and the data, and what several measurements look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from models.contract import Event, Family, Features

from ...data.examples import Examples, examples
from ...data.prepared import Prepared
from ...device import device
from ...params.entry import Entry
from ...params.project import Project
from ...params.schema import Evaluate
from ..feature_space import quality_features
from ..finished import load_family
from ..reference_features import reference_features
from ..validation import draw, features_of

SEARCHED = 100_000  # training examples, evenly spread, among which the nearest to a sample is searched, at most


class InFeatures(NamedTuple):
    """Samples, test examples and training examples as feature vectors (N, F)."""

    samples: np.ndarray
    test: np.ndarray
    train: np.ndarray


@dataclass(frozen=True)
class Subject:
    """An entry that a stage has finished, with what is read, drawn and computed but once."""

    project: Project
    entry: Entry

    @cached_property
    def data(self) -> Prepared:
        """The prepared data."""
        return Prepared.open(self.project.prepared)

    @property
    def event(self) -> Event:
        """What one example is."""
        return self.data.event

    @property
    def settings(self) -> Evaluate:
        """How much is measured."""
        return self.project.params.evaluate

    @property
    def origin(self) -> Path:
        """The folder in which the finished model is."""
        return self.project.made(self.entry)

    @cached_property
    def family(self) -> Family:
        """The finished model."""
        family = load_family(self.origin).to(device())
        if self.settings.compile:
            family.compile_sampling()
        return family

    @cached_property
    def train(self) -> Examples:
        """The training split."""
        return examples(self.project, self.data, "train")

    @cached_property
    def val(self) -> Examples:
        """The validation split."""
        return examples(self.project, self.data, "val")

    @cached_property
    def test(self) -> Examples:
        """The test split."""
        return examples(self.project, self.data, "test")

    @cached_property
    def samples(self) -> torch.Tensor:
        """Samples (N, *event) as many as quality is measured on."""
        return draw(self.family, self.settings.samples, self.settings.seed)

    @cached_property
    def named_features(self) -> tuple[Features, str]:
        """The module in whose features quality is measured, and its name."""
        return quality_features(self.project, self.event)

    @property
    def features(self) -> Features:
        """The module in whose features quality is measured."""
        return self.named_features[0]

    @cached_property
    def in_features(self) -> InFeatures:
        """Samples, test examples and training examples in features."""
        return InFeatures(
            features_of(self.features, self.samples),
            self._reference(self.test, "test", self.settings.references),
            self._reference(self.train, "train", SEARCHED),
        )

    @cached_property
    def val_features(self) -> np.ndarray:
        """The validation split in features."""
        return self._reference(self.val, "val", None)

    def _reference(self, some: Examples, split: str, at_most: int | None) -> np.ndarray:
        return reference_features(self.project, self.named_features, some, self.data.digest, split, at_most)
