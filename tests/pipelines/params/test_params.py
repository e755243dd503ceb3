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
from pipelines.errors import UserError
from pipelines.files import write_json
from pipelines.params.checks import complain_of_misfits, section_digest
from pipelines.params.profiles import expanded
from pipelines.params.project import Project
from pipelines.params.reading import load, parse
from pipelines.params.schema import Distill, Section, Train

DELETE = object()
Changes = dict[str, Any]


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    raw: dict[str, Any] = YAML(typ="safe", pure=True).load(Path(__file__).parents[3] / "params.yaml")
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
    return {"entries.maf.search": {"blocks": space}, "entries.maf.config.blocks": DELETE}


KL = "entries.vae.search.kl_weight"

BAD: dict[str, tuple[Changes, str]] = {
    "unknown section": (
        {"entires": {}},
        "entires: is no key that is known here; did you mean 'entries'?; "
        "allowed are: cluster, data, defaults, entries, evaluate, project, register",
    ),
    "unknown key of a section": (
        {"defaults.tarin": {}},
        "defaults.tarin: is no key that is known here; did you mean 'train'?; allowed are: distill, search, train",
    ),
    "unknown key of an entry": (
        {"entries.maf.train.stepz": 1},
        "entries.maf.train.stepz: is no key that is known here; did you mean 'steps'?; allowed are: batch_size, *",
    ),
    "unknown key of a block": (
        {"entries.maf.cofnig": {}},
        "entries.maf.cofnig: is no key that is known here; did you mean 'config'?; "
        "allowed are: config, distill, model, search, train",
    ),
    "unknown key of a searched parameter": (
        {KL: {"low": 0.1, "hihg": 1.0}},
        f"{KL}.hihg: is no key that is known here; did you mean 'high'?; allowed are: choices, high, log, low",
    ),
    "unknown key of the classifier": (
        {"evaluate.classifier.widht": 1},
        "evaluate.classifier.widht: is no key that is known here; did you mean 'width'?; allowed are: *",
    ),
    "unknown key of a family": (
        {"entries.vae.config.latnet": 1},
        "entries.vae.config.latnet: is no key that is known here; did you mean 'latent'?; allowed are: architecture, *",
    ),
    "unknown key like no other": ({"data.zzz": 1}, "data.zzz: is no key that is known here; allowed are: binarise, *"),
    "text for a number": ({"data.seed": "zero"}, "data.seed: 'zero' is not allowed: must be a valid integer"),
    "fraction for an integer": ({"data.seed": 1.5}, "data.seed: 1.5 is not allowed: must be a valid integer"),
    "truth value for a number": ({"data.seed": True}, "data.seed: True is not allowed: must be a valid integer"),
    "number for a section": ({"data": 3}, "data: 3 is not allowed: must be a valid dictionary"),
    "nothing for a section": ({"evaluate": None}, "evaluate: None is not allowed: must be a valid dictionary"),
    "number for a list": (
        {"entries.vae.config.hidden": 256},
        "entries.vae.config.hidden: 256 is not allowed: must be a valid tuple",
    ),
    "unknown choice": (
        {"entries.vae.config.decoder": "laplace"},
        "entries.vae.config.decoder: 'laplace' is not allowed: must be 'bernoulli', 'gaussian', *",
    ),
    "neither number nor word": (
        {"defaults.train.batch_size": "al"},
        "defaults.train.batch_size: 'al' is not allowed: must be a valid integer or must be 'all'",
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
        "data.colunms: is no key that is known here; did you mean 'columns'?; allowed are: *categorical, *",
    ),
    "key of a part of a source": (
        {"data": {"source": "npz", "path": "x", "test_count": 0.1, "arrays": {"train": "x", "tset": "y"}}},
        "data.arrays.tset: is no key that is known here; did you mean 'test'?; allowed are: test, train, val",
    ),
    "no test split": (
        {"data": {"source": "images", "path": "x", "splits": None}},
        "data.test_count: is missing: no test split is named; give a count or a share such as 0.1",
    ),
    "a column of labels is missing": (
        {"data": {"source": "images", "path": "x", "labels": {"file": "x.csv", "path": "file"}}},
        "data.labels.label: is missing",
    ),
    "an unknown key of a table of labels": (
        {"data": {"source": "audio", "path": "x", "labels": {"file": "x", "path": "x", "label": "x", "spilt": "x"}}},
        "data.labels.spilt: is no key that is known here; did you mean 'split'?; allowed are: encoding, *",
    ),
    "a range that is none": (
        {"data": {"source": "images", "path": "x", "rescale": [3, 1]}},
        "data.rescale: *must be two numbers of which the first is the smaller",
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
        {"entries.iaf.config.learning_rate": -1.0},
        "entries.iaf.config.learning_rate: -1.0 is not allowed: must be greater than 0",
    ),
    "NaN in a section": (
        {"register.min_improvement": math.nan},
        "register.min_improvement: nan is not allowed: must be a finite number",
    ),
    "NaN in a family": (
        {"entries.iaf.config.learning_rate": math.nan},
        "entries.iaf.config.learning_rate: nan is not allowed: must be a finite number",
    ),
    "infinity": (
        {"defaults.train.clip_norm": math.inf},
        "defaults.train.clip_norm: inf is not allowed: must be a finite number",
    ),
    "unknown family": (
        {"entries.gmm.model": "gnm"},
        f"entries.gmm.model: 'gnm' is not allowed; did you mean 'gmm'?; allowed are: {', '.join(sorted(CATALOGUE))}",
    ),
    "family without a model": (
        {"entries.gmm.model": DELETE},
        "entries.gmm.model: is missing",
    ),
    "family that is a list": (
        {"entries.gmm.model": ["gmm"]},
        "entries.gmm.model: ['gmm'] is not allowed: must be a valid string",
    ),
    "family that is empty": ({"entries.gmm": None}, "entries.gmm: None is not allowed: must be a valid dictionary"),
    "no entries": ({"entries": DELETE}, "entries: is missing"),
    "searched parameter that does not exist": (
        {"entries.vae.search": {"kl_wieght": {"low": 0.1, "high": 1.0}}},
        "entries.vae.search.kl_wieght: is no parameter of vae; did you mean 'kl_weight'?; allowed are: *",
    ),
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
    "a search over what is measured": (
        {"entries.vae.search.conditional": {"choices": [True, False]}},
        "entries.vae.search.conditional: is not allowed: a vae that is told labels is judged by p(x|y)*",
    ),
    "no choices": ({KL: {"choices": []}}, f"{KL}: {{'choices': []}} is not allowed: choices must not be empty"),
    "choice of the wrong type": (
        {KL: {"choices": [1.0, "x"]}},
        f"{KL}: 'x' is not allowed: must be a valid number",
    ),
    "fraction among the bounds of an integer": (
        searching_blocks({"low": 2.5, "high": 6}),
        "entries.maf.search.blocks: 2.5 is not allowed: must be a valid integer",
    ),
    "first trial out of its space": (
        {"entries.vae.config.kl_weight": 5.0},
        "entries.vae.config.kl_weight: 5.0 is not allowed: the first trial takes it, and it is not in"
        " entries.vae.search.kl_weight; search: null fixes it",
    ),
    "first trial that is no choice": (
        {KL: {"choices": [0.5, 1.0]}, "entries.vae.config.kl_weight": 0.7},
        "entries.vae.config.kl_weight: 0.7 is not allowed: the first trial takes it, *",
    ),
    "search of a student": (
        {"entries.iaf.search": {"blocks": {"low": 2, "high": 6}}},
        "entries.iaf: search is not allowed beside distill: only entries that are trained can be searched",
    ),
    "training and distillation": ({"entries.iaf.train": {}}, "entries.iaf: give either train or distill"),
    "teacher that there is not": (
        {"entries.iaf.distill.teacher": "mfa"},
        "entries.iaf.distill.teacher: 'mfa' is not allowed: must be one of the other entries: gmm, autoencoder, *",
    ),
    "student that teaches itself": (
        {"entries.iaf.distill.teacher": "iaf"},
        "entries.iaf.distill.teacher: iaf → iaf is a circle: one of them must be trained on the data",
    ),
    "students that teach each other": (
        {
            "entries.a": {"model": "iaf", "config": {"conditional": True}, "distill": {"teacher": "iaf"}},
            "entries.iaf.distill.teacher": "a",
            "entries.iaf.distill.batch_size": 8,
        },
        "entries.iaf.distill.teacher: iaf → a → iaf is a circle: one of them must be trained on the data",
    ),
    "teacher without a density": (
        {"entries.iaf.distill.teacher": "gan"},
        "entries.iaf.distill.teacher: 'gan' is not allowed: gan has no density to learn; maf has",
    ),
    "student that cannot score": (
        {"entries.made": {"model": "made", "config": {"conditional": True}, "distill": {"teacher": "maf"}}},
        "entries.made.distill: is not allowed: made cannot score its own samples; iaf can",
    ),
    "labels for the teacher alone": (
        {"entries.iaf.config.conditional": False},
        "entries.iaf.distill: config.conditional of iaf and of its teacher maf must be the same",
    ),
    "all of no data": (
        {"entries.iaf.distill.batch_size": "all"},
        "entries.iaf.distill.batch_size: 'all' is not allowed: there is no data; give a number",
    ),
    "configuration that the images refuse": (
        {"entries.made.config.output": "gaussian_mixture"},
        "entries.made.config: output: gaussian_mixture needs vectors; *(examples have the shape (1, 8, 8))",
    ),
    "too many neighbours": (
        {"evaluate.neighbours": 400},
        "evaluate.neighbours: 400 is not allowed: must be less than evaluate.samples, evaluate.references and the *",
    ),
    "name of a project": (
        {"project": "My project"},
        "project: 'My project' is not allowed as a name: must begin with *",
    ),
    "word for workers": (
        {"cluster.workers": "all"},
        "cluster.workers: 'all' is not allowed: must be 'auto' or must be a valid integer or must be a valid list",
    ),
    "negative workers": (
        {"cluster.workers": -1},
        "cluster.workers: -1 is not allowed: must be 'auto' or must be greater than or equal to 0 or must be *",
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
    assert {block.model for block in params.entries.values()} <= set(suitable(Event((1, 8, 8), 17, 10)))
    assert params.name == "digits"


@pytest.mark.parametrize(("changes", "pattern"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_line(changed: Callable[[Changes], dict[str, Any]], changes: Changes, pattern: str) -> None:
    (line,) = refusal(changed(changes))
    assert matches(line, f"params.yaml: {pattern}"), line


def test_several_mistakes_are_several_lines(changed: Callable[[Changes], dict[str, Any]]) -> None:
    lines = refusal(changed({"data.seed": -1, "defaults.trian": 1, "cluster.workers": "all", "evaluate.samples": 1}))
    keys = ["data.seed", "defaults.trian", "cluster.workers", "evaluate.samples"]
    assert [line.split(": ")[1] for line in lines] == keys


def test_mistakes_in_several_entries_are_several_lines(changed: Callable[[Changes], dict[str, Any]]) -> None:
    mistakes = {"entries.iaf.model": "oaf", "entries.gmm.config.components": 0, "entries.vae.config.latent": -3}
    lines = refusal(changed(mistakes))
    assert [line.split(": ")[1] for line in lines] == list(mistakes)


@pytest.mark.parametrize(("key", "value"), [("ema_decay", 1.0), ("stepz", 1)], ids=["value", "key"])
def test_a_mistake_that_is_inherited_is_reported_where_it_was_made(
    changed: Callable[[Changes], dict[str, Any]], key: str, value: float
) -> None:
    lines = refusal(changed({f"defaults.train.{key}": value, "entries.maf.train.clip_norm": "x"}))
    assert [line.split(": ")[1] for line in lines] == [f"defaults.train.{key}", "entries.maf.train.clip_norm"]


NAMES = ["made;touch oops", "a.b", "a/b", "Made", "1st", "-x", "", "a b", "made\n", 3, 101 * "a"]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_names_that_a_shell_dvc_or_a_path_would_take_for_something_else_are_refused_first(
    changed: Callable[[Changes], dict[str, Any]], name: Any
) -> None:
    raw = changed({"data.seed": -1})
    raw["entries"][name] = {"model": "nonsense"}
    (line,) = refusal(raw)
    assert line == (
        f"params.yaml: entries: {name!r} is not allowed as a name: must begin with a small letter, and go on with small"
        " letters, digits, - and _, to a length of 100"
    )


def test_the_layout_of_an_earlier_version_is_refused_with_what_moved_where() -> None:
    lines = refusal(
        {
            "data": {"source": "digits"},
            "families": {},
            "train": {},
            "tune": {},
            "distill": {},
            "evaluate": {"entries": {}},
        }
    )
    assert [line.split(": ")[1] for line in lines] == ["families", "train", "tune", "distill", "evaluate.entries"]
    assert lines[0].endswith("families.<entry> is entries.<entry>.model and entries.<entry>.config")
    assert all(": has moved: " in line for line in lines[:4])


def test_settings_are_inherited_unless_an_entry_has_its_own(changed: Callable[[Changes], dict[str, Any]]) -> None:
    params = parse(
        changed(
            {
                "defaults.train": {"batch_size": 99, "schedule": "linear", "patience": 7, "seed": 5},
                "defaults.distill": {"val_samples": 12, "patience": 3},
                "entries.gmm.train.batch_size": "all",
                "entries.maf.train.patience": None,
                "entries.iaf.distill.batch_size": 11,
                "entries.iaf.distill.seed": 6,
                "evaluate.classifier.batch_size": 22,
            }
        )
    )
    maf, gmm, vae, student = (params.loop_of(entry) for entry in ("maf", "gmm", "vae", "iaf"))
    classifier = params.classifier
    assert [each.schedule for each in (maf, gmm, vae, student, classifier)] == ["linear"] * 5
    assert [each.batch_size for each in (maf, gmm, vae, student, classifier)] == [99, "all", 99, 11, 22]
    assert [each.patience for each in (maf, gmm, vae, student)] == [None, 7, 7, 3]
    assert [each.seed for each in (maf, student, classifier)] == [5, 6, 5]
    assert isinstance(student, Distill)
    assert (student.val_samples, student.rescues, maf.rescues) == (12, 3, 0)


def test_without_defaults_those_of_the_classes_hold(changed: Callable[[Changes], dict[str, Any]]) -> None:
    params = parse(changed({"defaults": DELETE, "evaluate.classifier": DELETE, "entries.vae.train": DELETE}))
    assert params.loop_of("vae") == Train()
    assert params.classifier.batch_size == Train().batch_size


def test_an_entry_is_resolved_into_one_object(root: Path) -> None:
    entries = Project(root, load(root / "params.yaml")).entries
    assert entries["iaf"].teacher == entries["maf"]
    assert entries["iaf"].stage == "distill" and entries["maf"].stage == "train"
    assert entries["gan"].judged_by_samples and not entries["vae"].judged_by_samples
    assert entries["vae"].space.keys() == {"kl_weight"}


def test_a_search_that_is_null_is_none(changed: Callable[[Changes], dict[str, Any]]) -> None:
    params = parse(changed({"entries.gan.search": None, KL: None}))
    assert params.entries["gan"].space == params.entries["vae"].space == {}


def test_a_student_may_teach(changed: Callable[[Changes], dict[str, Any]], tmp_path: Path) -> None:
    pupil = {"model": "iaf", "config": {"conditional": True}, "distill": {"teacher": "iaf", "batch_size": 8}}
    entries = Project(tmp_path, parse(changed({"entries.pupil": pupil}))).entries
    teacher = entries["pupil"].teacher
    assert teacher is not None and teacher.teacher == entries["maf"]


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
    assert Project.here(tmp_path).entries["diffusion"].config.learning_rate == 0.001


def test_a_whole_number_may_stand_for_a_fraction(changed: Callable[[Changes], dict[str, Any]], tmp_path: Path) -> None:
    params = parse(changed({"entries.iaf.config.learning_rate": 1, "entries.maf.train.clip_norm": 5}))
    entries = Project(tmp_path, params).entries
    assert (entries["iaf"].config.learning_rate, entries["maf"].loop.clip_norm) == (1, 5)


@pytest.mark.parametrize("space", [{"low": 2, "high": 6}, {"low": 2.0, "high": 6.0}, {"choices": [2, 4]}])
def test_an_integer_can_be_searched(
    changed: Callable[[Changes], dict[str, Any]], space: dict[str, Any], tmp_path: Path
) -> None:
    maf = Project(tmp_path, parse(changed(searching_blocks(space)))).entries["maf"]
    assert vars(maf.with_values({"blocks": 4}).config)["blocks"] == 4


def test_what_a_search_found_takes_the_place_of_the_default(root: Path) -> None:
    vae = Project.here(root).entries["vae"]
    assert vars(vae.with_values({"kl_weight": 0.3}).config)["kl_weight"] == 0.3
    assert vars(vae.config)["kl_weight"] == config_fields(family_class("vae").Config)["kl_weight"].default


def test_parameters_cannot_be_changed(root: Path) -> None:
    params = load(root / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.data.seed = 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "is empty"),
        ([], "holds [] instead of sections"),
        ("text", "holds 'text' instead of sections"),
        (3, "holds 3 instead of sections"),
    ],
)
def test_a_file_that_holds_no_sections_is_one_line(content: Any, what: str) -> None:
    assert refusal(content) == [f"params.yaml: {what}; `genera profile digits` writes one to begin with"]


@pytest.mark.parametrize("content", [{"entries": {}}, {"entries": None}])
def test_a_file_without_an_entry_is_refused(content: Any) -> None:
    assert refusal(content) == ["params.yaml: entries: is empty: give at least one, such as `vae: {model: vae}`"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"entries: {gmm: [1\n", "expected ',' or ']'"),
        (b"entries:\n\tgmm: 1\n", "'\\t' that cannot start any token"),
        (b"entries:\n  gmm: {}\n  gmm: {}\n", "line 3: 'gmm' is given twice in the same block"),
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
    assert line.startswith(f"{file}: ")
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
    with pytest.raises(UserError, match="lines 3 to 4"):
        load(file)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    with pytest.raises(UserError) as caught:
        load(file)
    assert str(caught.value) == f"{file}: there is no such file; run the command in the project's folder"


def test_only_entries_are_required() -> None:
    assert list(parse({"entries": {"vae": {"model": "vae"}}}).entries) == ["vae"]


TABLE = {"source": "csv", "path": "x.csv", "test_count": 0.1, "label": "kind"}


def test_families_that_do_not_fit_the_source_are_refused_with_those_that_would(
    changed: Callable[[Changes], dict[str, Any]],
) -> None:
    lines = refusal(changed({"data": TABLE}))
    fitting = ", ".join(suitable(Event((8,), None, 2)))
    for line, model in zip(lines, ("progressive_gan", "pixelcnn", "pixelrnn"), strict=True):
        assert line.startswith(f"params.yaml: entries.{model}.model: {model} models images of integers")
        assert line.endswith(f"(data.source csv gives vectors); families that would fit: {fitting}")


def test_families_of_numbers_are_refused_for_a_palette(
    changed: Callable[[Changes], dict[str, Any]], committed: dict[str, Any]
) -> None:
    lines = refusal(changed({"data.palette": 8, "entries.vae.config.decoder": "categorical"}))
    of_names = suitable(Event((1, 8, 8), 8, 10, ordered=False))
    numbers = [name for name in committed["entries"] if name not in of_names]
    refused = [line.split(": ")[1] for line in lines if "families that would fit" in line]
    assert refused == [f"entries.{name}.model" for name in numbers]
    assert all(line.endswith(", ".join(of_names)) for line in lines if "families that would fit" in line)


def test_conditional_families_are_refused_where_there_are_no_labels(
    changed: Callable[[Changes], dict[str, Any]], committed: dict[str, Any]
) -> None:
    lines = refusal(changed({"data": {"source": "binarized_mnist", "path": "x"}}))
    conditional = [name for name, block in committed["entries"].items() if block["config"].get("conditional")]
    assert len([line for line in lines if "conditional: true needs labels" in line]) == len(conditional)


def test_configurations_are_tried_on_the_real_size_where_it_is_known() -> None:
    """A DCGAN cannot halve odd sides; only the files of a folder without `resize` can tell whether they are odd."""
    odd = {"source": "images", "path": "x", "test_count": 0.1, "mode": "grey", "labels": None}
    entries = {"gan": {"model": "gan", "config": {"architecture": "dcgan"}}, "vae": {"model": "vae"}}
    (line,) = refusal({"data": {**odd, "resize": [7, 9]}, "entries": entries})
    assert line.startswith("params.yaml: entries.gan.config: architecture: dcgan halves images")
    parse({"data": odd, "entries": entries})


@pytest.mark.parametrize(
    ("of_teacher", "distill", "says"),
    [
        ({"alpha": 0.1}, {}, "student and teacher need the same alpha and dequantisation: *"),
        ({}, {"loss": {"scale": 4.0}}, "scale needs Gaussian conditionals: *"),
        ({}, {"loss": {"power": 1.0}}, "power compares the spectra of sequences, such as audio"),
    ],
)
def test_students_and_teachers_are_tried_before_anything_trains(
    of_teacher: dict[str, Any], distill: dict[str, Any], says: str
) -> None:
    small = {"blocks": 1, "hidden": [8]}
    blocks = {
        "maf": {"model": "maf", "config": {**small, **of_teacher}},
        "iaf": {"model": "iaf", "config": small, "distill": {"teacher": "maf", "steps": 1, "batch_size": 2, **distill}},
    }
    (line,) = refusal({"entries": blocks})
    assert matches(line, f"params.yaml: entries.iaf.distill: {says}"), line


def test_prepared_data_is_asked_where_parameters_do_not_tell(tmp_path: Path) -> None:
    """An entry that is added later is refused by the data that was prepared before."""
    raw = {"data": {"source": "csv", "path": "x.csv", "test_count": 0.1}, "entries": {"made": {"model": "made"}}}
    raw["entries"]["made"]["config"] = {"output": "softmax"}
    params = parse(raw)
    summary = {"shape": [6], "levels": None, "classes": 0, "ordered": True, "digest": "d"}
    complain_of_misfits(tmp_path, params)
    write_json(tmp_path / "artifacts/prepare/summary.json", summary)
    complain_of_misfits(tmp_path, params)  # it may be of other parameters
    write_json(tmp_path / "artifacts/prepare/section.json", {"section": section_digest(params.data), "data": "d"})
    with pytest.raises(UserError, match=r"^params\.yaml: entries\.made\.config: .*\(examples have the shape \(6,"):
        complain_of_misfits(tmp_path, params)
    other = parse({**raw, "data": {**raw["data"], "path": "y.csv"}})
    complain_of_misfits(tmp_path, other)  # of other data nothing is known
    (tmp_path / "artifacts/prepare/summary.json").write_text("<<<<<<< HEAD\n")
    complain_of_misfits(tmp_path, params)


def test_prepared_rows_with_types_are_tried_as_such(tmp_path: Path) -> None:
    """Outputs of integers and of vectors are nothing to them, and a GAN makes them by linear layers alone."""
    entries: dict[str, Any] = {name: {"model": name} for name in ("made", "vae", "gan")}
    raw: dict[str, Any] = {"data": {"source": "csv", "path": "x.csv", "test_count": 0.1}, "entries": entries}
    params = parse(raw)
    summary = {"kind": "table", "shape": [6], "levels": None, "classes": 0, "ordered": True, "digest": "d"}
    write_json(tmp_path / "artifacts/prepare/summary.json", summary)
    write_json(tmp_path / "artifacts/prepare/section.json", {"section": section_digest(params.data), "data": "d"})
    with pytest.raises(UserError) as error:
        complain_of_misfits(tmp_path, params)
    (line,) = str(error.value).splitlines()
    assert line.startswith("params.yaml: entries.gan.config: architecture: dcgan makes images of integers, not a table")
    assert "architecture: mlp makes any" in line
    entries["gan"]["config"] = {"architecture": "mlp"}
    complain_of_misfits(tmp_path, parse(raw))


def test_searched_values_are_tried_on_the_event() -> None:
    odd = {"source": "images", "path": "x", "test_count": 0.1, "mode": "grey", "labels": None, "resize": [7, 9]}
    search = {"architecture": {"choices": ["mlp", "dcgan"]}, "latent": {"low": 1, "high": 1e30}}
    architecture, latent = refusal(
        {"data": odd, "entries": {"gan": {"model": "gan", "config": {"architecture": "mlp"}, "search": search}}}
    )
    assert architecture.startswith("params.yaml: entries.gan.search.architecture: 'dcgan' is not allowed: ")
    assert latent.startswith(f"params.yaml: entries.gan.search.latent: {int(1e30)} is not allowed: no such network")


@pytest.mark.parametrize("config", [{"latent": 10**20}, {"hidden": [10**10, 10**10]}], ids=["latent", "hidden"])
def test_networks_that_cannot_be_built_are_one_line(config: dict[str, Any]) -> None:
    (line,) = refusal({"entries": {"vae": {"model": "vae", "config": config}}})
    assert line.startswith("params.yaml: entries.vae.config: no such network can be built: ")


@pytest.mark.parametrize("path", ["data", "data/prepared/x", ".", "artifacts/../artifacts"])
def test_data_does_not_lie_where_the_workflow_writes(path: str) -> None:
    table = {"source": "csv", "path": path, "test_count": 0.1}
    (line,) = refusal({"data": table, "entries": {"maf": {"model": "maf"}}})[:1]
    assert line.startswith(f"params.yaml: data.path: {path!r} is not allowed: the workflow writes ")


def test_a_count_of_recordings_is_no_count_of_examples(root: Path) -> None:
    """Two recordings may hold enough windows for five neighbours; `prepare` will know."""
    profiles = {path.stem: path for path in (root / "profiles").glob("*.yaml")}
    raw = YAML(typ="safe", pure=True).load(expanded(profiles, "speech"))
    raw["data"] |= {"test_count": 2}
    del raw["data"]["test_files"]
    assert parse(raw).data.drawn_test == 2
