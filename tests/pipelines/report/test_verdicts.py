"""What the page says of its entries follows from their numbers, whatever of them is missing."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.report.glance import answers
from pipelines.report.page import Distillation
from pipelines.report.standings import BITS, FID, SPEED, interval, leaders, standing, undominated
from pipelines.report.verdicts import Verdict, fooled_by, has_memorised, in_words, ordinal, verdicts

Row = dict[str, Any]

EXACT: Row = {
    "entry": "slow",
    "nll_bits_per_dim": 1.764,
    "nll_bits_per_dim_low": 1.74,
    "nll_bits_per_dim_high": 1.79,
    "nll_nats": 78.3,
    "nll_kind": "exact",
    "fid": 0.26,
    "fid_low": 0.24,
    "fid_high": 0.29,
    "samples_per_s": 2290.0,
    "sampling_passes": 64,
    "speed_batch": 256,
    "parallel_sampling": False,
    "train_seconds": 30.0,
    "completion_score": 0.7,
    "completion_error": 0.9,
    "completion_diversity": 0.9,
    "memorisation": 0.51,
    "copied": 0.012,
    "classes_covered": 10,
    "outliers": {"flat": {"nll": 0.4, "likelihood_auroc": 0.02, "typicality_auroc": 0.99}},
}
BOUND: Row = {
    "entry": "blurry",
    "nll_bits_per_dim": 1.856,
    "nll_bits_per_dim_low": 1.83,
    "nll_bits_per_dim_high": 1.88,
    "nll_nats": 82.0,
    "nll_kind": "bound",
    "nll_bound": "IWAE, K=64",
    "fid": 0.39,
    "samples_per_s": 300_000.0,
    "sampling_passes": 1,
    "train_seconds": 10.0,
    "memorisation": 0.97,
    "copied": 0.5,
    "precision": 0.5,
    "recall": 0.9,
}
POOR: Row = {"entry": "made", "nll_bits_per_dim": 2.06, "nll_kind": "exact", "fid": 0.9, "train_seconds": 11.0}
SILENT: Row = {
    "entry": "gan",
    "nll_bits_per_dim": None,
    "fid": 0.27,
    "samples_per_s": 290_000.0,
    "sampling_passes": 1,
    "train_seconds": 17.0,
    "classes_covered": 7,
}
ROWS = [EXACT, BOUND, POOR, SILENT]


def words(verdict: Verdict) -> str:
    return " ".join(verdict.sentences)


def told(entry: str, rows: list[Row] = ROWS, classes: int = 10) -> str:
    return words(verdicts(rows, {}, classes)[entry])


def test_exact_best_and_level_ones() -> None:
    text = told("slow")
    assert "an exact NLL of 1.764 bits/dim (95 % interval 1.740 to 1.790), the lowest of 3" in text
    assert "bounds say; the lowest is `blurry`'s, ≤ 1.856 bits/dim" in text
    assert "FID 0.260 (95 % interval 0.240 to 0.290), the lowest of 4, with `gan` within its interval" in text
    assert "within the interval of the best, `slow` at 0.260" in told("gan")
    assert verdicts(ROWS, {}, 10)["slow"].lead.startswith(
        "Best, or level with the best, at likelihood and sample quality"
    )


def test_a_bound_proves_only_what_it_can() -> None:
    text = told("blurry")
    assert "only an upper bound (IWAE, K=64): NLL ≤ 1.856 bits/dim" in text
    assert "shows it better than `made`, whose exact value is higher; against the others it shows nothing" in text
    above = {**BOUND, "nll_bits_per_dim": 2.2, "nll_bits_per_dim_low": 2.1, "nll_bits_per_dim_high": 2.3}
    text = told("blurry", [EXACT, above, POOR])
    assert "shows it neither better nor worse" in text
    assert "likelihood" not in verdicts([EXACT, above, POOR], {})["blurry"].lead, "a bad bound is no weakness"
    assert "gives no likelihood" in told("gan")


def test_speed_passes_and_cost() -> None:
    text = told("slow")
    assert "2,290 samples/s (in batches of 256, 64 sequential passes), 3rd of 3" in text
    assert "the fastest, `blurry`, is 130 times as fast" in text and "passes grows" in text
    assert "within a tenth of the best, `blurry`" in told("gan")
    assert "`blurry` cost about as much and has the better FID (10.0 s, FID 0.390)" in told("made")
    dear = [*ROWS[:2], {**POOR, "train_seconds": 20.0}]
    assert "`blurry` cost less and has the better FID (10.0 s, FID 0.390)" in told("made", dear)
    alike = [{"entry": "a", "fid": 12.301, "train_seconds": 20.0}, {"entry": "b", "fid": 12.3, "train_seconds": 10.0}]
    assert "better FID (" not in told("a", alike), "what looks the same is not better"
    near = [{**alike[0], "fid": 13.0}, {**alike[1], "fid_low": 11.0, "fid_high": 14.0}]
    assert "`b` cost less and has the better FID (10.0 s, FID 12.3; the difference lies within its interval)" in told(
        "a", near
    )
    assert "Nothing that cost less has a better FID" in text


@pytest.mark.parametrize(
    ("score", "share", "verdict"),
    [
        (0.52, 0.012, False),
        (0.97, 0.5, True),
        (0.55, 0.2, True),
        (0.9, None, True),
        (None, 0.01, False),
        (None, None, None),
    ],
)
def test_memorised(score: float | None, share: float | None, verdict: bool | None) -> None:
    assert has_memorised({"memorisation": score, "copied": share}) is verdict


def test_failures_are_said_clearly() -> None:
    assert (
        "It has memorised training examples: memorisation 0.970 where ½ is expected; 50.0\u00a0% of the samples"
        in told("blurry")
    )
    assert "No sign that it memorised" in told("slow")
    assert "may have memorised some" in told("e", [{"entry": "e", "memorisation": 0.65, "copied": 0.02}])
    assert "Mode collapse: samples show 7 of 10 classes." in told("gan")
    assert "Mode collapse: two samples differ 0.20 times" in told("e", [{"entry": "e", "diversity": 0.2}])
    assert "finds flat (AUROC 0.020) likelier than test examples" in told("slow")
    assert "a test of typicality notices them" in told("slow")
    assert fooled_by({"outliers": {"noise": {"likelihood_auroc": 1.0}, "flat": {}}}) == {}
    assert "too sure" in told(
        "e", [{"entry": "e", "completion_score": 0.9, "completion_error": 1.2, "completion_diversity": 0.5}]
    )
    assert "too sure" not in told("slow") and "more varied than realistic" in told("blurry")


def student(**values: Any) -> Distillation:
    return Distillation("slow", b"", **values)


def test_a_student_says_what_it_lost() -> None:
    rows = [EXACT, {**BOUND, "nll_kind": "exact"}]
    lesson = student(teacher_nll=1.7, student_nll=1.8, teacher_fid=0.26, student_fid=0.39, kl_nats_per_dim=0.01)
    text = words(verdicts(rows, {"blurry": lesson})["blurry"])
    assert "Student of `slow`: it lost 0.100 bits/dim of likelihood; its FID rose from 0.260 to 0.390" in text
    assert "40.0 s of training with its teacher, `slow`" in text
    better = student(teacher_nll=1.8, student_nll=1.7, teacher_samples_per_s=10.0, student_samples_per_s=50.0)
    text = words(verdicts(ROWS, {"blurry": better})["blurry"])
    assert "lost no likelihood" in text and "difference of bounds" in text and "in return it samples 5.0 times" in text
    assert "cannot be" not in words(verdicts(ROWS, {"blurry": student()})["blurry"])


def test_any_number_may_be_missing() -> None:
    assert verdicts([], {}) == {} and answers([], {}) == []
    assert verdicts([{"entry": "e"}], {})["e"] == Verdict("", ())
    for name in {name for row in ROWS for name in row} - {"entry"}:
        rows = [{key: value for key, value in row.items() if key != name} for row in ROWS]
        assert all(verdict.sentences for verdict in verdicts(rows, {}, 10).values())
        assert answers(rows, {"blurry": student()})
        lone = [{"entry": "e", name: next(row[name] for row in ROWS if row.get(name) is not None)}]
        text = told("e", lone)
        assert (
            " of 1," not in text
            and " of 1." not in text.replace("of 1.764", "")
            and "None" not in text
            and "nan" not in text
        )
        answers(lone, {})
    nan = [{**row, "fid": float("nan")} for row in ROWS]
    assert "FID" not in " ".join(answer.text for answer in answers(nan, {}))


def test_answers_at_a_glance() -> None:
    lesson = student(teacher_nll=1.7, student_nll=1.8)
    found = {answer.question: answer.text for answer in answers(ROWS, {"blurry": lesson})}
    assert found["Which samples fastest?"] == (
        "`blurry`: 300,000 samples/s, 1 sequential pass. `gan` is within a tenth of it. The samples of `blurry`"
        " are 3rd of 4 by FID, 0.390. Of the half with the better FID, `gan`: 290,000 samples/s, 1 sequential pass."
    )
    assert "`slow`: NLL 1.764" in found["Which has the best likelihood, and is that a bound?"]
    assert "an exact value, not a bound" in found["Which has the best likelihood, and is that a bound?"]
    assert found["Which has the best samples?"].endswith("`gan` is within its interval.")
    assert "the only one that can complete" in found["Which is best for completing what is missing?"]
    assert found["Which has memorised its training data?"].startswith("`blurry` (memorisation 0.970")
    assert "it lost 0.100" in found["What did blurry lose against its teacher?"]
    assert found["Which costs least to train for its quality?"].startswith("`made` (11.0 s, FID 0.900), `gan` (17.0 s")


def test_answers_say_when_the_best_is_a_bound_and_when_none_has_memorised() -> None:
    rows = [{**BOUND, "nll_bits_per_dim": 1.5, "memorisation": 0.5, "copied": 0.01}, EXACT]
    found = [answer.text for answer in answers(rows, {})]
    assert "`blurry`: NLL ≤ 1.500 bits/dim" in found[1] and "The best exact value is `slow`'s, 1.764" in found[1]
    assert "None of the 2 measured. The highest is `slow`" in found[4]
    both = [answer.text for answer in answers([BOUND, {**BOUND, "entry": "other", "nll_bits_per_dim": 2.0}], {})]
    assert "none is proven better" in both[1]


def test_standings() -> None:
    assert interval(EXACT, "fid") == (0.24, 0.29)
    assert interval({"fid": 2.0}, "fid") is None
    where = standing(ROWS, BOUND, BITS)
    assert where and (where.rank, where.of, where.level) == (2, 3, ("slow",))
    assert standing(ROWS, POOR, SPEED) is None and standing(ROWS, SILENT, FID)
    alike = [{"entry": "a", "fid": 1.0001}, {"entry": "b", "fid": 1.0}]
    assert [row["entry"] for row in leaders(alike, FID)] == ["b", "a"]
    assert undominated({"a": (1, 3), "b": (2, 2), "c": (2, 3), "d": (3, 2)}) == ["a", "b"]
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 22, 113)] == ["1st", "2nd", "3rd", "4th", "11th", "22nd", "113th"]
    assert (in_words(["a"]), in_words(["a", "b", "c"])) == ("a", "a, b and c")


def lead(entry: str, rows: list[Row]) -> str:
    return verdicts(rows, {})[entry].lead


def test_a_lead_says_only_what_a_comparison_showed() -> None:
    assert lead("a", [{"entry": "a", "fid": 1.0}]) == ""
    pair = [{"entry": "a", "fid": 1.0}, {"entry": "b", "fid": 10.0}]
    assert lead("a", pair) == "Best, or level with the best, at sample quality." and lead("b", pair) == ""
    five = [{"entry": name, "fid": float(fid)} for fid, name in enumerate("abcde", 1)]
    assert lead("c", five).startswith("Neither among the first") and lead("e", five) == "Weak at sample quality."
    tied = [{"entry": "a", "probe_accuracy": 0.99}, *({"entry": f"b{i}", "probe_accuracy": 0.5} for i in range(9))]
    assert lead("b0", tied).startswith("Neither"), "nine second places are no distinction"


def test_what_is_level_says_in_which_respect() -> None:
    alike = [{"entry": "a", "completion_score": 0.9}, {"entry": "b", "completion_score": 0.9001}]
    assert "with `b` level with it" in told("a", alike) and "with `a` level with it" in told("b", alike)
    (answer,) = [each.text for each in answers(alike, {}) if "completing" in each.question]
    assert answer.endswith("`b` is level with it.")


def test_a_bound_below_an_exact_value_may_be_so_by_chance() -> None:
    near = {**POOR, "nll_bits_per_dim": 1.87}
    assert "It is below the exact value of `made`, but by no more than the interval leaves open." in told(
        "blurry", [EXACT, BOUND, near]
    )


def test_labels_are_told_by_densities_and_by_features() -> None:
    rows = [{"entry": name, "bayes_accuracy": 1 - i / 10, "probe_accuracy": i / 10} for i, name in enumerate("abc")]
    assert lead("a", rows) == "Best, or level with the best, at telling labels; weak at features of labels."


def test_samples_far_from_all_data_are_no_copies_and_no_praise() -> None:
    assert "lie apart from all data" in told("e", [{"entry": "e", "memorisation": 0.05, "copied": 0.0}])
    assert "lie apart" not in told("e", [{"entry": "e", "memorisation": 0.4, "copied": 0.0}])


def test_a_student_within_the_interval_of_its_teacher_has_lost_nothing_for_sure() -> None:
    lesson = student(teacher_fid=0.26, student_fid=0.28, teacher_nll=1.7, student_nll=1.8, labelled=True)
    text = words(verdicts([EXACT, BOUND], {"blurry": lesson})["blurry"])
    assert "its FID rose from 0.260 to 0.280, within the interval" in text and "of likelihood, given the labels" in text


def test_chance_is_no_known_failure() -> None:
    near = {"entry": "e", "outliers": {"own": {"likelihood_auroc": 0.46}}}
    assert verdicts([near], {})["e"] == Verdict("", ())
    fooled = {"entry": "e", "outliers": {"own": {"likelihood_auroc": 0.2}}}
    text = told("e", [fooled])
    assert "known failure" in text and "typicality" not in text, "typicality was not measured"


def test_bounds_are_marked_wherever_they_stand() -> None:
    rows = [{**BOUND, "nll_bits_per_dim": 1.5}, {**EXACT, "entry": "third", "nll_bits_per_dim": 1.9}, EXACT]
    assert "the best, `blurry`, has ≤ 1.500 bits/dim" in told("third", rows)
    no_fid = [{key: value for key, value in row.items() if not key.startswith("fid")} for row in rows]
    assert "`blurry` cost less and has the better NLL (10.0 s, NLL ≤ 1.500 bits/dim)" in told("third", no_fid)
    assert "better NLL (" not in told("blurry", [*no_fid, {**no_fid[1], "entry": "x", "train_seconds": 1.0}])


def test_times_of_teachers_are_mentioned_where_they_count() -> None:
    taught = {"slow": Distillation("blurry", b"")}
    with_it, without = (
        next(each.text for each in answers(rows, taught) if "costs least" in each.question)
        for rows in (ROWS, [EXACT, POOR, SILENT])
    )
    assert "`slow` (40.0 s" in with_it and with_it.endswith("Times of students include their teachers'.")
    assert "`slow` (30.0 s" in without and "include their teachers" not in without
