"""Parameters: what is right is accepted and filled in, what is wrong gives one line that says where, what, and why."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from models.catalogue import CATALOGUE, family_class, suitable
from models.contract import Event, config_fields
from models.layers.adversarial import LOSSES
from pipelines.errors import UserError
from pipelines.params.checks import expected_event
from pipelines.params.reading import load, parse
from pipelines.params.schema import Loop, Params, Section

DELETE = object()
Changes = dict[str, Any]


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    raw: dict[str, Any] = YAML(typ="safe", pure=True).load(Path(__file__).parents[2] / "params.yaml")
    return raw


@pytest.fixture
def changed(committed: dict[str, Any]) -> Callable[[Changes], dict[str, Any]]:
    """The committed parameters with some keys, named by their dotted paths, set to other values or deleted."""

    def change(changes: Changes) -> dict[str, Any]:
        raw = deepcopy(committed)
        for path, value in changes.items():
            *parents, key = path.split(".")
            section = raw
            for parent in parents:
                section = section[parent]
            if value is DELETE:
                del section[key]
            else:
                section[key] = value
        return raw

    return change


def refusal(raw: Any) -> list[str]:
    with pytest.raises(UserError) as caught:
        parse(raw)
    return str(caught.value).splitlines()


def searching_blocks(space: dict[str, Any]) -> Changes:
    """Search an integer of maf, which the committed file does not search."""
    return {
        "tune.entries.maf": {"code": "models/maf.py", "space": {"blocks": space}},
        "train.entries.maf.after": "artifacts/tune/maf/best.json",
        "families.maf.blocks": DELETE,
    }


KL = "tune.entries.vae.space.kl_weight"

BAD: dict[str, tuple[Changes, str]] = {
    "unknown section": (
        {"trian": {}},
        "trian: is no key that is known here; did you mean 'train'?; "
        "allowed are: cluster, data, distill, evaluate, families, register, train, tune",
    ),
    "unknown key of a section": (
        {"train.sed": 1},
        "train.sed: is no key that is known here; did you mean 'seed'?; allowed are: entries, loop, memory_limit, seed",
    ),
    "unknown key of an entry": (
        {"train.entries.maf.stepz": 1},
        "train.entries.maf.stepz: is no key that is known here; did you mean 'steps'?; allowed are: after, *",
    ),
    "unknown key of the classifier": (
        {"evaluate.classifier.widht": 1},
        "evaluate.classifier.widht: is no key that is known here; did you mean 'width'?; allowed are: *",
    ),
    "unknown key of a family": (
        {"families.vae.latnet": 1},
        "families.vae.latnet: is no key that is known here; did you mean 'latent'?; allowed are: architecture, *",
    ),
    "unknown key like no other": ({"data.zzz": 1}, "data.zzz: is no key that is known here; allowed are: binarise, *"),
    "text for a number": ({"data.seed": "zero"}, "data.seed: 'zero' is not allowed: must be a valid integer"),
    "fraction for an integer": ({"data.seed": 1.5}, "data.seed: 1.5 is not allowed: must be a valid integer"),
    "truth value for a number": ({"data.seed": True}, "data.seed: True is not allowed: must be a valid integer"),
    "number for a section": ({"data": 3}, "data: 3 is not allowed: must be a valid dictionary"),
    "nothing for a section": ({"train": None}, "train: None is not allowed: must be a valid dictionary"),
    "number for a list": (
        {"families.vae.hidden": 256},
        "families.vae.hidden: 256 is not allowed: must be a valid tuple",
    ),
    "unknown choice": (
        {"families.vae.decoder": "laplace"},
        "families.vae.decoder: 'laplace' is not allowed: must be 'bernoulli', 'gaussian', 'discretised_logistic' *",
    ),
    "neither number nor word": (
        {"train.loop.batch_size": "al"},
        "train.loop.batch_size: 'al' is not allowed: must be a valid integer or must be 'all'",
    ),
    "unknown data": (
        {"data": {"source": "mnits"}},
        "data.source: 'mnits' is not allowed; did you mean 'mnist'?; allowed are: audio, binarized_mnist, *",
    ),
    "no data source": ({"data": {"path": "x"}}, "data.source: is missing; allowed are: digits, mnist, *"),
    "key of another source": (
        {"data.columns": ["a"]},
        "data.columns: is no key that is known here; allowed are: binarise, bits, *",
    ),
    "key of a source": (
        {"data": {"source": "csv", "path": "x", "test_count": 0.1, "colunms": ["a"]}},
        "data.colunms: is no key that is known here; did you mean 'columns'?; allowed are: categorical, *",
    ),
    "key of a part of a source": (
        {"data": {"source": "npz", "path": "x", "test_count": 0.1, "arrays": {"train": "x", "tset": "y"}}},
        "data.arrays.tset: is no key that is known here; did you mean 'test'?; allowed are: test, train, val",
    ),
    "no test split": (
        {"data": {"source": "images", "path": "x"}},
        "data.test_count: is missing: no test split is named; give a count or a share such as 0.1",
    ),
    "two image options": (
        {"data.binarise": "fixed", "data.palette": 8},
        "data: give only one of binarise and palette",
    ),
    "share above one": (
        {"data.val_count": 1.5},
        "data.val_count: 1.5 is not allowed: must be a count of at least 1, or a share between 0 and 1",
    ),
    "label that is no pattern": (
        {"data": {"source": "images", "path": "x", "labels": "(", "test_count": 0.1}},
        "data.labels: '(' is not allowed: must be 'folders' or must be a regular expression, and is none: *",
    ),
    "label pattern without a group": (
        {"data": {"source": "audio", "path": "x", "labels": "a", "test_count": 0.1}},
        "data.labels: 'a' is not allowed: must be 'folders' or must be a regular expression with one group, *",
    ),
    "negative learning rate": (
        {"families.iaf.learning_rate": -1.0},
        "families.iaf.learning_rate: -1.0 is not allowed: must be greater than 0",
    ),
    "NaN in a section": (
        {"register.min_improvement": math.nan},
        "register.min_improvement: nan is not allowed: must be a finite number",
    ),
    "NaN in a family": (
        {"families.iaf.learning_rate": math.nan},
        "families.iaf.learning_rate: nan is not allowed: must be a finite number",
    ),
    "infinity": (
        {"train.loop.clip_norm": math.inf},
        "train.loop.clip_norm: inf is not allowed: must be a finite number",
    ),
    "unknown family": (
        {"families.gmm.model": "gnm"},
        f"families.gmm.model: 'gnm' is not allowed: must be one of {', '.join(sorted(CATALOGUE))}",
    ),
    "family without a model": (
        {"families.gmm.model": DELETE},
        f"families.gmm.model: None is not allowed: must be one of {', '.join(sorted(CATALOGUE))}",
    ),
    "family that is a list": (
        {"families.gmm.model": ["gmm"]},
        f"families.gmm.model: ['gmm'] is not allowed: must be one of {', '.join(sorted(CATALOGUE))}",
    ),
    "family that is empty": ({"families.gmm": None}, "families.gmm: None is not allowed: must be a valid dictionary"),
    "no families": ({"families": DELETE}, "families: is missing"),
    "searched parameter that does not exist": (
        {"tune.entries.vae.space": {"kl_wieght": {"low": 0.1, "high": 1.0}}},
        "tune.entries.vae.space.kl_wieght: is no parameter of vae; did you mean 'kl_weight'?; allowed are: *",
    ),
    "empty space": ({"tune.entries.vae.space": {}}, "tune.entries.vae.space: {} is not allowed: * at least 1 item *"),
    "bound out of range": (
        {KL: {"low": -1.0, "high": 1.0}},
        f"{KL}: -1.0 is not allowed: must be greater than or equal to 0",
    ),
    "low above high": (
        {KL: {"low": 2.0, "high": 1.0}},
        f"{KL}: {{'low': 2.0, 'high': 1.0}} is not allowed: low must be less than high",
    ),
    "no upper bound": ({KL: {"low": 2.0}}, f"{KL}: {{'low': 2.0}} is not allowed: give both low and high"),
    "logarithm of zero": (
        {KL: {"low": 0.0, "high": 1.0, "log": True}},
        f"{KL}: {{*}} is not allowed: a logarithmic range needs low > 0",
    ),
    "neither range nor choices": ({KL: {}}, f"{KL}: {{}} is not allowed: give either low and high, or choices"),
    "range and choices": (
        {KL: {"low": 0.5, "choices": [1.0]}},
        f"{KL}: {{*}} is not allowed: give either low and high, or choices",
    ),
    "no choices": ({KL: {"choices": []}}, f"{KL}: {{'choices': []}} is not allowed: choices must not be empty"),
    "choice of the wrong type": (
        {KL: {"choices": [1.0, "x"]}},
        f"{KL}: 'x' is not allowed: must be a valid number",
    ),
    "fraction among the bounds of an integer": (
        searching_blocks({"low": 2.5, "high": 6}),
        "tune.entries.maf.space.blocks: 2.5 is not allowed: must be a valid integer",
    ),
    "parameter with two owners": (
        {"families.vae.kl_weight": 1.0},
        f"{KL}: families.vae.kl_weight sets it too, but a searched parameter belongs to tune alone; *",
    ),
    "search of a student": (
        {"tune.entries.iaf": {"code": "models/iaf.py", "space": {"blocks": {"low": 2, "high": 6}}}},
        "tune.entries.iaf: is not allowed: only entries of train can be searched",
    ),
    "file of another family": (
        {"train.entries.maf.code": "models/iaf.py"},
        "train.entries.maf.code: 'models/iaf.py' is not allowed: must be models/maf.py, the file of maf's family",
    ),
    "no file": ({"train.entries.maf.code": DELETE}, "train.entries.maf.code: is missing"),
    "training before its search": (
        {"train.entries.vae.after": "artifacts/prepare/summary.json"},
        "train.entries.vae.after: 'artifacts/prepare/*' is not allowed: must be artifacts/tune/vae/best.json",
    ),
    "training after a search that there is not": (
        {"train.entries.maf.after": "artifacts/tune/maf/best.json"},
        "train.entries.maf.after: 'artifacts/tune/*' is not allowed: must be artifacts/prepare/summary.json",
    ),
    "teacher that is not trained": (
        {"distill.entries.iaf.teacher": "iaf"},
        "distill.entries.iaf.teacher: 'iaf' is not allowed: must be one of train.entries: gmm, autoencoder, *",
    ),
    "evaluation of what another stage makes": (
        {"evaluate.entries.iaf": "train"},
        "evaluate.entries.iaf: 'train' is not allowed: iaf is not in train.entries",
    ),
    "evaluation of no stage's work": (
        {"evaluate.entries.iaf": "tune"},
        "evaluate.entries.iaf: 'tune' is not allowed: must be 'train' or 'distill'",
    ),
    "entry in no stage": (
        {"families.more": {"model": "gmm"}},
        "families.more: must be in train.entries or in distill.entries, and not in both",
    ),
    "entry in two stages": (
        {"train.entries.iaf": {"code": "models/iaf.py", "after": "artifacts/prepare/summary.json"}},
        "families.iaf: must be in train.entries or in distill.entries, and not in both",
    ),
    "word for workers": (
        {"cluster.workers": "all"},
        "cluster.workers: 'all' is not allowed: must be 'auto' or must be a valid integer",
    ),
    "negative workers": (
        {"cluster.workers": -1},
        "cluster.workers: -1 is not allowed: must be 'auto' or must be greater than or equal to 0",
    ),
}


def matches(line: str, pattern: str) -> bool:
    """Is this the line? `*` stands for what is too long, or not ours, to be repeated here."""
    position = 0
    first, *rest = pattern.split("*")
    if not line.startswith(first) or (not rest and line != first):
        return False
    for part in rest:
        position = line.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return not rest or line.endswith(rest[-1])


def test_the_committed_file_is_valid(root: Path) -> None:
    params = load(root / "params.yaml")
    assert {params.model(entry) for entry in params.families} == set(suitable(Event((1, 8, 8), 17, 10)))
    assert set(params.evaluate.entries) == set(params.families)


@pytest.mark.parametrize(("changes", "pattern"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_line(changed: Callable[[Changes], dict[str, Any]], changes: Changes, pattern: str) -> None:
    (line,) = refusal(changed(changes))
    assert matches(line, f"params.yaml: {pattern}"), line


def test_several_mistakes_are_several_lines(changed: Callable[[Changes], dict[str, Any]]) -> None:
    lines = refusal(changed({"data.seed": -1, "train.sed": 1, "cluster.workers": "all", "evaluate.samples": 1}))
    assert [line.split(": ")[1] for line in lines] == ["data.seed", "train.sed", "cluster.workers", "evaluate.samples"]


def test_mistakes_in_several_families_are_several_lines(changed: Callable[[Changes], dict[str, Any]]) -> None:
    lines = refusal(changed({"families.gmm.components": 0, "families.vae.latent": -3, "families.iaf.model": "oaf"}))
    assert [line.split(": ")[1] for line in lines] == [
        "families.gmm.components",
        "families.vae.latent",
        "families.iaf.model",
    ]


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"train.loop.ema_decay": 1.0}, "ema_decay"), ({"train.loop.stepz": 1}, "stepz")],
    ids=["value", "key"],
)
def test_a_mistake_that_is_inherited_is_reported_where_it_was_made(
    changed: Callable[[Changes], dict[str, Any]], changes: Changes, key: str
) -> None:
    (line,) = refusal(changed(changes))
    assert line.startswith(f"params.yaml: train.loop.{key}: ")


def test_a_mistake_of_an_entry_is_reported_beside_one_in_the_shared_loop(
    changed: Callable[[Changes], dict[str, Any]],
) -> None:
    lines = refusal(changed({"train.loop.ema_decay": 1.0, "train.entries.maf.clip_norm": "x"}))
    assert [line.split(": ")[1] for line in lines] == ["train.loop.ema_decay", "train.entries.maf.clip_norm"]


def test_loop_settings_are_inherited_unless_an_entry_has_its_own(
    changed: Callable[[Changes], dict[str, Any]],
) -> None:
    params = parse(
        changed(
            {
                "train.loop": {"batch_size": 99, "schedule": "linear", "patience": 7},
                "train.entries.gmm.batch_size": "all",
                "train.entries.maf.patience": None,
                "distill.entries.iaf.batch_size": 11,
                "evaluate.classifier.batch_size": 22,
            }
        )
    )
    maf, gmm, vae = (params.train.entries[entry] for entry in ("maf", "gmm", "vae"))
    student, classifier = params.distill.entries["iaf"], params.evaluate.classifier
    assert [each.schedule for each in (maf, gmm, vae, student, classifier)] == ["linear"] * 5
    assert [each.batch_size for each in (maf, gmm, vae, student, classifier)] == [99, "all", 99, 11, 22]
    assert [each.patience for each in (maf, gmm, vae)] == [None, 7, 7]


def test_without_a_shared_loop_the_defaults_hold(changed: Callable[[Changes], dict[str, Any]]) -> None:
    params = parse(changed({"train.loop": DELETE, "evaluate.classifier": DELETE}))
    assert params.train.loop == Loop()
    assert params.train.entries["vae"].batch_size == Loop().batch_size


def test_validation_leaves_what_it_was_given_as_it_was(committed: dict[str, Any]) -> None:
    before = deepcopy(committed)
    parse(committed)
    assert committed == before


def sections() -> list[type[Section]]:
    found, waiting = [], [Section]
    while waiting:
        children = waiting.pop().__subclasses__()
        found += children
        waiting += children
    return found


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_field_is_documented_where_it_is_defined(section: type[Section]) -> None:
    assert section.__doc__
    for name, field in section.model_fields.items():
        annotation = field.annotation
        is_section = isinstance(annotation, type) and issubclass(annotation, Section)
        assert field.description or (is_section and annotation.__doc__), f"{section.__name__}.{name}"


@pytest.mark.parametrize("model", CATALOGUE)
def test_every_field_of_a_family_is_documented_where_it_is_defined(model: str) -> None:
    config = family_class(model).Config
    ancestry = [config_fields(each) for each in config.__mro__ if each is not object]
    for name in config_fields(config):
        assert any(name in fields and fields[name].description for fields in ancestry), name


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001"])
def test_numbers_are_read_as_people_write_them(root: Path, tmp_path: Path, text: str) -> None:
    committed = (root / "params.yaml").read_text(encoding="utf-8")
    assert "learning_rate: 3.0e-3" in committed
    file = tmp_path / "params.yaml"
    file.write_text(committed.replace("learning_rate: 3.0e-3", f"learning_rate: {text}"), encoding="utf-8")
    assert load(file).config("diffusion").learning_rate == 0.001


def test_a_whole_number_may_stand_for_a_fraction(changed: Callable[[Changes], dict[str, Any]]) -> None:
    params = parse(changed({"families.iaf.learning_rate": 1, "train.entries.maf.clip_norm": 5}))
    assert (params.config("iaf").learning_rate, params.train.entries["maf"].clip_norm) == (1, 5)


@pytest.mark.parametrize("space", [{"low": 2, "high": 6}, {"low": 2.0, "high": 6.0}, {"choices": [2, 4]}])
def test_an_integer_can_be_searched(changed: Callable[[Changes], dict[str, Any]], space: dict[str, Any]) -> None:
    params = parse(changed(searching_blocks(space)))
    assert vars(params.config("maf", {"blocks": 4}))["blocks"] == 4


def test_what_a_search_found_takes_the_place_of_the_default(root: Path) -> None:
    params = load(root / "params.yaml")
    assert vars(params.config("vae", {"kl_weight": 0.3}))["kl_weight"] == 0.3
    assert vars(params.config("vae"))["kl_weight"] == config_fields(family_class("vae").Config)["kl_weight"].default


def test_parameters_cannot_be_changed(root: Path) -> None:
    params = load(root / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.data.seed = 1


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_a_file_that_holds_no_sections_is_one_line(content: Any) -> None:
    assert refusal(content) == [f"params.yaml: {content!r} is not allowed: must be a valid dictionary"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"families: {gmm: [1\n", "expected ',' or ']'"),
        (b"families:\n\tgmm: 1\n", "'\\t' that cannot start any token"),
        (b"data: {seed: 1}\ndata: {seed: 2}\n", 'duplicate key "data"'),
        (b"data: !!python/object/apply:os.system [echo]\n", "could not determine a constructor"),
        (b"data: \xff\xfe\n", "can't decode byte 0xff"),
        (b"data: \x00\n", "unacceptable character"),
    ],
    ids=["bracket", "tab", "twice", "code", "encoding", "null"],
)
def test_what_is_no_yaml_is_one_line_that_names_the_file(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load(file)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{file}: is no YAML: ")
    assert says in line


def test_a_yaml_error_says_the_line(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        textwrap.dedent("""\
        data:
          seed: 0
          source: [digits
        """)
    )
    with pytest.raises(UserError, match="line 3"):
        load(file)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    with pytest.raises(UserError) as caught:
        load(file)
    assert str(caught.value) == f"{file}: there is no such file; run the command in the project's folder"


def test_only_families_are_required() -> None:
    assert parse({"families": {}}) == Params(families={})


OF_VECTORS = (
    *("autoencoder", "denoising_autoencoder", "diffusion", "gan", "glow", "gmm", "iaf", "made", "maf", "nice"),
    *("realnvp", "vae"),
)
NUMBERS = (
    *("gmm", "autoencoder", "denoising_autoencoder", "gan", "progressive_gan", "diffusion", "nice", "realnvp", "glow"),
    *("maf", "iaf"),
)
TABLE = {"source": "csv", "path": "x.csv", "test_count": 0.1, "label": "kind"}


def test_families_that_do_not_fit_the_source_are_refused_with_those_that_would(
    changed: Callable[[Changes], dict[str, Any]],
) -> None:
    lines = refusal(changed({"data": TABLE}))
    for line, model in zip(lines, ("progressive_gan", "pixelcnn", "pixelrnn"), strict=True):
        assert line.startswith(f"params.yaml: families.{model}: {model} models images of integers")
        assert line.endswith("(data.source csv gives vectors); families that would fit: " + ", ".join(OF_VECTORS))


def test_families_of_numbers_are_refused_for_a_palette(changed: Callable[[Changes], dict[str, Any]]) -> None:
    lines = refusal(changed({"data.palette": 8}))
    assert [line.split(": ")[1] for line in lines] == [f"families.{entry}" for entry in NUMBERS]
    assert all(line.endswith("families that would fit: made, pixelcnn, pixelrnn, vae") for line in lines)


def test_conditional_families_are_refused_where_there_are_no_labels(
    changed: Callable[[Changes], dict[str, Any]],
) -> None:
    lines = refusal(changed({"data": {"source": "binarized_mnist", "path": "x"}}))
    assert len(lines) == 13 and all("conditional: true needs labels" in line for line in lines)


PROFILES = sorted((Path(__file__).parents[2] / "profiles").glob("*.yaml"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_profiles_are_complete_and_valid(profile: Path, committed: dict[str, Any]) -> None:
    raw = YAML(typ="safe", pure=True).load(profile)
    assert raw.keys() == committed.keys()
    params = load(profile)
    if profile.stem == "gans":  # one family, many losses
        assert {values["loss"] for values in params.families.values() if "loss" in values} == set(LOSSES)
        return
    assert params.data.folder == profile.stem
    fitting = {params.model(entry) for entry in params.families}
    event = expected_event(params.data) or Event((6,), None)  # only the files of power can tell that they are vectors
    assert fitting == set(suitable(event)), "every suitable family has an entry"
    assert set(params.evaluate.entries) == set(params.families)


def test_there_is_a_profile_of_each_kind_of_data(root: Path) -> None:
    names = ["binarized_mnist", "cifar10", "digits", "fashion_mnist", "gans", "mnist", "power", "speech"]
    assert [path.stem for path in PROFILES] == names
    assert (root / "params.yaml").read_text() == (root / "profiles" / "digits.yaml").read_text()


def test_a_count_of_recordings_is_no_count_of_examples() -> None:
    """Two recordings may hold enough windows for five neighbours; `prepare` will know."""
    raw = YAML(typ="safe", pure=True).load(Path(__file__).parents[2] / "profiles" / "speech.yaml")
    raw["data"] |= {"test_count": 2}
    del raw["data"]["test_files"]
    assert parse(raw).data.drawn_test == 2
