"""The catalogue by itself: what can be known of the families without importing them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import models
from models.catalogue import CATALOGUE, family_class, module_of


def test_the_names_of_the_families_cost_no_import_of_torch() -> None:
    code = "import sys, models.catalogue; assert 'torch' not in sys.modules and 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(models.__path__[0]).parent)


@pytest.mark.parametrize("model", sorted(CATALOGUE))
def test_a_family_stands_in_its_module(model: str) -> None:
    assert family_class(model).__module__ == f"models.{module_of(model)}"


def test_an_unknown_family_names_those_there_are() -> None:
    for function in (family_class, module_of):
        with pytest.raises(KeyError, match="maf"):
            function("mafia")
