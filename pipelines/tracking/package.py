"""A finished model as MLflow keeps it: a folder with all that its consumers need, and its signature."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import UserError
from ..files import write_json, write_text
from ..serving.carried import copy
from .candidate import Candidate
from .card import FILE, PICTURE, description, model_card
from .store import quiet

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow.models import ModelSignature

    from ..serving.model import ServedModel

WEIGHTS, CONFIG = "model.safetensors", "config.json"
SHOWN = 5  # synthetic rows of a table, on its card
SCRIPT = Path(__file__).parents[1] / "serving" / "model.py"
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pydantic", "safetensors", "torch")


def package(candidate: Candidate, folder: Path, **origin: Any) -> str:
    """Write the model to a folder, as MLflow has it, with `origin` in its MLmodel; returns its card, as pages show it.

    It is loaded as consumers will load it: a UserError says so if the files do not make a model.
    """
    quiet()
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import Model

    with tempfile.TemporaryDirectory(prefix="genera-package-") as scratch:
        paths = _carried(candidate, Path(scratch))
        served = _loaded(candidate, paths)
        examples = served.answering.answer(None, {"task": "sample", "n": SHOWN, "seed": 1})
        rows = examples if isinstance(examples, pd.DataFrame) else None
        write_text(paths["card"], model_card(candidate, served.answering, rows, PICTURE))
        examples = examples[:2]
        mlflow.pyfunc.save_model(
            folder,
            python_model=SCRIPT,
            artifacts={name: str(path) for name, path in paths.items()},
            signature=_signature(examples),
            input_example=_example(served, examples),
            pip_requirements=_requirements(candidate),
            mlflow_model=Model(**origin),
        )
        _readable(folder)
        return description(candidate, served.answering, rows, _picture_address(origin.get("model_id", "")))


def _readable(folder: Path) -> None:
    """Let whoever may read the folder's ordinary files read its weights: safetensors keeps what it writes to itself."""
    ordinary = (folder / "MLmodel").stat().st_mode
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(ordinary)


def _picture_address(model_id: str) -> str:
    """Where MLflow's page finds the picture of samples: beside itself, on whatever server it is."""
    path = f"artifacts/{PICTURE}"
    return f"ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files?artifact_file_path={quote(path, safe='')}"


def parts_of(folder: Path) -> dict[str, Path]:
    """Where each part of a model lies that MLflow saved in a folder."""
    names = {"weights": WEIGHTS, "config": CONFIG, "code": "code", "scores": "scores.json"}
    places = {name: folder / "artifacts" / each for name, each in names.items()}
    return {name: path for name, path in places.items() if name != "scores" or path.is_file()}


def load_served(paths: Mapping[str, Path]) -> ServedModel:
    """The model of these parts, with the code that it carries."""
    from ..serving.model import ServedModel

    served = ServedModel()
    served.load(paths)
    return served


def _carried(candidate: Candidate, scratch: Path) -> dict[str, Path]:
    """Where each part of the model lies."""
    copy(candidate.code, scratch / "code")
    paths = {
        "weights": candidate.folder / WEIGHTS,
        "config": candidate.folder / CONFIG,
        "code": scratch / "code",
        "card": scratch / FILE,
    }
    if candidate.picture is not None:
        paths["picture"] = scratch / PICTURE
        paths["picture"].write_bytes(candidate.picture)
    if candidate.scores is not None:
        paths["scores"] = scratch / "scores.json"
        write_json(paths["scores"], candidate.scores)
    return paths


def _loaded(candidate: Candidate, paths: Mapping[str, Path]) -> ServedModel:
    from safetensors import SafetensorError

    try:
        return load_served(paths)
    except (SafetensorError, RuntimeError, LookupError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{candidate.folder}: {WEIGHTS} and {CONFIG} make no model ({why[:300]}); "
            "delete the folder and run `dvc repro` to make it again"
        ) from error


def _example(served: ServedModel, examples: np.ndarray | pd.DataFrame) -> tuple[Any, dict[str, Any]]:
    """A request that the model answers: likelihoods or codes of examples, or else samples, which read no data."""
    import numpy as np

    reading = next((task for task in ("score", "log_prob", "encode") if task in served.answering.tasks), None)
    return (np.zeros((0, 1)), {"task": "sample", "n": 2}) if reading is None else (examples, {"task": reading})


def _requirements(candidate: Candidate) -> list[str]:
    """What an environment must hold; any build of PyTorch will do, that for CPUs included."""
    event = candidate.config["event"]
    pictures = ("pillow",) if len(event["shape"]) == 3 and event["levels"] is not None else ()
    return [f"{name}=={installed(name).partition('+')[0]}" for name in (*REQUIREMENTS, *pictures)]


def _signature(examples: np.ndarray | pd.DataFrame) -> ModelSignature:
    """The parameters of `predict`, and the type of samples.

    There is no schema of the input, which MLflow would enforce for every task: `sample` takes no data, `decode` codes.
    And it would leave out columns that the schema does not have, with no word to the one who sent them.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    from ..serving.answers.parameters import PARAMETERS

    params = [ParamSpec(each.name, each.type, each.default, (-1,) if each.many else None) for each in PARAMETERS]
    if isinstance(examples, np.ndarray):
        outputs = Schema([TensorSpec(examples.dtype, (-1, *examples.shape[1:]))])
    else:
        outputs = Schema([ColSpec(_type(examples[name]), str(name), required=False) for name in examples.columns])
    return ModelSignature(outputs=outputs, params=ParamSchema(params))


def _type(column: pd.Series[Any]) -> str:
    """What MLflow calls the type of a column."""
    kinds = {"i": "long", "f": "double", "b": "boolean", "M": "datetime"}
    return kinds.get(column.dtype.kind, "string")
