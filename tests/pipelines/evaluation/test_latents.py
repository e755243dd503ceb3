"""Codes at work: paths, single dimensions, directions of labels, the map, and how the report shows them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from models.contract import Event, Latent
from models.noise import Noise
from pipelines.data.prepared import Prepared
from pipelines.evaluation.latents import (
    DEVIATIONS,
    DIRECTED,
    PAIRS,
    SIDE,
    STEPS,
    STRENGTHS,
    TRAVERSED,
    Coded,
    Latents,
    linear,
    look_into,
    pairs_of,
    plane,
    spherical,
)
from pipelines.evaluation.metrics.codes import prior_gap, reconstruction_rmse
from pipelines.report.exhibits import Exhibit
from pipelines.report.latent_space import LatentSpace, latent_space
from pipelines.report.page import EntrySection, Report, render

from ...models.families import Case
from ..data.prepared_folders import prepared_folder

IMAGE = Event((1, 2, 3), 256, 4)


class Numbers(Latent):
    """The code is the example itself, or its first numbers; what is cut off is decoded as 7."""

    def __init__(self, event: Event, length: int | None = None) -> None:
        self.event, self.length = event, length or event.dimensions
        self.encoded: list[Tensor | None] = []
        self.decoded: list[Tensor | None] = []

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        self.encoded.append(labels)
        return x.flatten(1)[:, : self.length].float()

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        self.decoded.append(labels)
        rest = z.new_full((len(z), self.event.dimensions - self.length), 7)
        return torch.cat([z, rest], 1).unflatten(1, self.event.shape)


def told(event: Event, n: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """Examples of classes whose numbers differ by 20 a class, their spreads growing from number to number."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, max(1, event.classes), n)
    x = 60 + 20 * labels[:, None] + random.normal(size=(n, event.dimensions)) * np.arange(1, event.dimensions + 1)
    whole = torch.from_numpy(x.round().clip(0, 255)).reshape(n, *event.shape).to(torch.uint8)
    return whole, torch.from_numpy(labels) if event.classes else None


def looked(event: Event = IMAGE, length: int | None = None, conditional: bool = False, seed: int = 0) -> Latents:
    return look_into(
        Numbers(event, length), event, conditional, told(event, 90, seed=1), told(event, 200, seed=2), seed
    )[0]


# Paths


def test_spherical_paths_keep_their_length_and_turn_evenly() -> None:
    a, b = torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    at = torch.linspace(0, 1, 9, dtype=torch.float64)
    path = spherical(a, b, at)
    assert path.shape == (3, 9, 5)
    torch.testing.assert_close(path[:, 0], a)
    torch.testing.assert_close(path[:, -1], b)
    torch.testing.assert_close(path.norm(dim=2), a.norm(dim=1)[:, None] * (1 - at) + b.norm(dim=1)[:, None] * at)
    unit = path / path.norm(dim=2, keepdim=True)
    angles = (unit[:, 1:] * unit[:, :-1]).sum(2).acos()
    torch.testing.assert_close(angles, angles[:, :1].expand(3, 8))
    whole = (unit[:, 0] * unit[:, -1]).sum(1).acos()
    torch.testing.assert_close(angles.sum(1), whole)


@pytest.mark.parametrize("b", [[2.0, 2.0], [-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
def test_without_an_angle_the_path_is_a_line(b: list[float]) -> None:
    a, at = torch.ones(1, 2, dtype=torch.float64), torch.linspace(0, 1, 5, dtype=torch.float64)
    end = torch.tensor([b], dtype=torch.float64)
    torch.testing.assert_close(spherical(a, end, at), linear(a, end, at))
    torch.testing.assert_close(linear(a, end, at)[0, 2], (a + end)[0] / 2)


def test_pairs_are_of_one_class_or_of_different_ones() -> None:
    labels = np.array([2, 0, 1, 0, 2, 2, 1, 0, 3])
    same = pairs_of(labels, 9, 5, one_class=True)
    assert same.tolist() == [[1, 7], [2, 6], [0, 5]], "a class of a single example has no pair"
    different = labels[pairs_of(labels, 9, 4, one_class=False)]
    assert different.shape == (4, 2) and (different[:, 0] != different[:, 1]).all()
    assert pairs_of(None, 10, 3, one_class=True).tolist() == [[0, 5], [1, 6], [3, 8]]
    assert pairs_of(labels, 9, 0, one_class=False).shape == pairs_of(labels, 9, 0, one_class=True).shape == (0, 2)
    assert pairs_of(None, 1, 4, one_class=False).shape == (0, 2)


def test_paths_begin_and_end_at_the_reconstructions() -> None:
    made = looked()
    assert made.ends.shape == (PAIRS["image"], 2, *IMAGE.shape) and made.ends.dtype == np.uint8
    for path in (made.linear, made.spherical):
        assert path.shape == (PAIRS["image"], STEPS["image"], *IMAGE.shape)
        assert np.allclose(path[:, 0], made.ends[:, 0], atol=0.1) and np.allclose(
            path[:, -1], made.ends[:, 1], atol=0.1
        )
    assert np.allclose(made.linear[:, 1], (made.ends[:, 0] * 6.0 + made.ends[:, 1]) / 7, atol=0.1)
    assert not np.allclose(made.linear[:, 3], made.spherical[:, 3], atol=0.1)
    assert (made.end_labels[:, 0] != made.end_labels[:, 1]).all()


# Single dimensions, and directions of labels


def test_a_traversal_moves_the_dimensions_that_vary_most_alone() -> None:
    (x, _), made = told(IMAGE, 90, seed=1), looked()
    codes = x.flatten(1).double().numpy()
    spreads = codes.std(0, ddof=1)
    assert made.dimensions.tolist() == np.argsort(-spreads)[: TRAVERSED["image"]].tolist()
    assert np.allclose(made.spreads, spreads[made.dimensions])
    flat = made.traversal.reshape(len(made.dimensions), len(DEVIATIONS), -1).astype(float)
    for row, dimension in zip(flat, made.dimensions, strict=True):
        expected = np.repeat(made.start.reshape(1, -1).astype(float), len(DEVIATIONS), 0)
        expected[:, dimension] = codes[:, dimension].mean() + np.array(DEVIATIONS) * spreads[dimension]
        assert np.allclose(row, expected.clip(0, 255), atol=0.1)


def test_directions_go_from_the_mean_of_one_class_to_that_of_another() -> None:
    x, labels = told(IMAGE, 200, seed=2)
    assert labels is not None
    made = looked()
    assert made.from_to.shape == (min(DIRECTED["image"], 4), 2) and (made.from_to[:, 0] != made.from_to[:, 1]).all()
    for moved, (start, end), row in zip(made.moved, made.from_to, made.directions, strict=True):
        begin, target = (x[labels == label].double().mean(0).numpy() for label in (start, end))
        for strength, image in zip(STRENGTHS, row, strict=True):
            assert np.allclose(image, (moved + strength * (target - begin)).clip(0, 255), atol=0.1)
    assert looked(Event((1, 2, 3), 256)).from_to.shape == (0, 2), "without labels there are none"


def test_a_conditional_model_is_told_the_label_that_a_path_starts_from() -> None:
    family = Numbers(IMAGE)
    x, labels = told(IMAGE, 90, seed=1)
    made, _ = look_into(family, IMAGE, True, (x, labels), told(IMAGE, 200, seed=2), 0)
    assert labels is not None, "each is encoded, and its code is drawn"
    told_labels = torch.cat([part for part in family.encoded if part is not None])
    assert torch.equal(told_labels, labels.repeat(2))
    decoded = torch.cat([part for part in family.decoded if part is not None])
    assert (made.end_labels[:, 0] == made.end_labels[:, 1]).all() and len(np.unique(made.end_labels[:, 0])) == 4
    along = np.repeat(made.end_labels[:, 0], STEPS["image"])
    assert decoded.tolist()[: 90 + len(along)] == [*labels.tolist(), *along]
    assert set(decoded.tolist()[90 + 2 * len(along) :]) == {int(made.start_label[0])}
    assert len(made.from_to) == len(made.directions) == 0
    other = Numbers(IMAGE)
    look_into(other, IMAGE, False, (x, labels), told(IMAGE, 200, seed=2), 0)
    assert set(other.encoded) == set(other.decoded) == {None}


# The map


def test_the_plane_is_that_of_the_principal_components() -> None:
    codes = torch.randn(200, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    codes = codes * torch.tensor([1.0, 5.0, 2.0, 1.0, 0.5, 3.0]) + 4
    origin, axes, explained = plane(codes)
    found = PCA(2).fit(codes.numpy())
    assert np.allclose(np.abs(found.components_), axes.T.abs().numpy())
    assert np.allclose(found.explained_variance_ratio_, explained.numpy())
    torch.testing.assert_close((codes - origin) @ axes, codes @ axes - codes.mean(0) @ axes)
    again = plane(-codes)[1]
    torch.testing.assert_close(axes, again)  # the sign is a convention


@pytest.mark.parametrize("length", [1, 2])
def test_codes_of_two_numbers_are_shown_as_they_are(length: int) -> None:
    codes = torch.arange(4.0 * length, dtype=torch.float64).reshape(4, length)
    origin, axes, _ = plane(codes)
    assert torch.equal(((codes - origin) @ axes)[:, :length], codes)


def test_a_grid_covers_the_prior_of_two_dimensions() -> None:
    made = looked(length=2)
    assert int(made.length) == 2 and made.grid.shape == (SIDE**2, *IMAGE.shape)
    assert (made.grid[:, 0, 1, 1] == 7).all()
    assert looked().grid.shape == (0, *IMAGE.shape) and looked(Event((1, 9), 256, 3), 2).grid.shape[0] == 0
    z = Codes2()
    look_into(z, IMAGE, False, told(IMAGE, 90, seed=1), told(IMAGE, 50, seed=2), 0)
    grid = torch.cat(z.seen)[90 + 2 * 40 + 2 * 7 :][: SIDE**2].reshape(SIDE, SIDE, 2)
    assert (grid[:, 1:, 0] > grid[:, :-1, 0]).all() and (grid[1:, :, 1] < grid[:-1, :, 1]).all(), "z2 grows upwards"
    torch.testing.assert_close(torch.special.ndtr(grid[0, :, 0]), (torch.arange(SIDE) + 0.5) / SIDE)


class Codes2(Numbers):
    """Remembers which codes of two numbers it has decoded."""

    def __init__(self) -> None:
        super().__init__(IMAGE, 2)
        self.seen: list[Tensor] = []

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        self.seen.append(z)
        return super().decode(z, labels)


def test_a_gap_of_one_says_that_codes_fill_the_prior() -> None:
    generator = torch.Generator().manual_seed(0)
    codes, prior = torch.randn(2, 800, 4, dtype=torch.float64, generator=generator).unbind()
    assert prior_gap(codes, prior) == pytest.approx(1, abs=0.05)
    assert prior_gap(codes * 0.1 + 1, prior) > 5
    two = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    assert prior_gap(two, torch.tensor([[0.0, 1.0], [3.0, 6.0]], dtype=torch.float64)) == pytest.approx(1.5 / 5)
    assert not math.isfinite(prior_gap(torch.zeros(3, 2), torch.ones(3, 2)))


class Perfect(Latent):
    """A perfect VAE of vectors, x = z in the first 11 of 16 dimensions and noise: q(z|x) is known, and wide."""

    SHARE = torch.cat([torch.full((11,), 0.7), torch.zeros(5)])  # of a code's variance that its mean has

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return x * self.SHARE.sqrt()

    def draw_codes(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        return self.encode(x) + (1 - self.SHARE).sqrt() * noise.normal(16)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return z


def test_a_perfect_vae_has_no_gap() -> None:
    x = torch.randn(1000, 16, generator=torch.Generator().manual_seed(1))
    coded = look_into(Perfect(), Event((16,), None), False, (x, None), (x, None), 0)[1]
    assert prior_gap(coded.drawn, coded.prior) == pytest.approx(1, abs=0.02)
    assert prior_gap(coded.codes, coded.prior) > 1.5, "the means of posteriors are no codes that the decoder sees"


def test_the_error_of_a_reconstruction_is_in_standard_deviations() -> None:
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.normal(size=(50, 3)) * [1, 100, 0] + 5)
    vectors = Event((3,), None)
    assert reconstruction_rmse(x, x.clone(), vectors) == 0
    assert reconstruction_rmse(x, x.mean(0).expand_as(x), vectors) == pytest.approx(1)
    off = x + x.std(0) / 2
    assert reconstruction_rmse(x, off, vectors) == pytest.approx(0.5 * math.sqrt(50 / 49))
    levels = torch.tensor([[[[0, 4]]], [[[2, 4]]]])
    assert reconstruction_rmse(levels, levels + 0.5, Event((1, 1, 2), 17)) == pytest.approx(0.5 / math.sqrt(0.5))
    names = torch.tensor([[[[0, 1]]], [[[2, 0]]]])
    half_right = torch.tensor([[[[0.0, 1.0]]], [[[1.0, 2.0]]]])
    # Of 2·2 places two are wrong, each in two of three levels; every place is one of two names.
    error = reconstruction_rmse(names, half_right, Event((1, 1, 2), 3, ordered=False))
    assert error == pytest.approx(math.sqrt(4 / 2))


# The whole


def test_the_same_seed_gives_the_same_file_without_pickles(tmp_path: Path) -> None:
    for number, made in enumerate((looked(), looked(length=2), looked(conditional=True), Latents.none(IMAGE))):
        path = tmp_path / f"{number}.npz"
        made.save(path)
        first = path.read_bytes()
        back = Latents.load(path)
        for name, array in vars(made).items():
            assert array.dtype != np.object_
            assert np.array_equal(getattr(back, name), array) and getattr(back, name).dtype == array.dtype
        back.save(path)
        assert path.read_bytes() == first
    assert np.array_equal(looked().prior, looked().prior) and not np.array_equal(looked().prior, looked(seed=1).prior)
    for name, array in vars(looked(length=2)).items():
        nothing = getattr(Latents.none(IMAGE), name)
        assert (nothing.dtype, nothing.ndim) == (array.dtype, array.ndim), name


class Broken(Numbers):
    """Some of its codes and of what it decodes is not finite."""

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        z = super().encode(x, labels)
        return torch.where(torch.arange(len(z))[:, None] % 7 == 0, math.inf, z)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().decode(z, labels).masked_fill(torch.arange(len(z))[:, None, None, None] % 5 == 0, math.nan)


def test_codes_that_are_not_finite_stop_nothing() -> None:
    made, _ = look_into(Broken(IMAGE), IMAGE, False, told(IMAGE, 90, seed=1), told(IMAGE, 50, seed=2), 0)
    assert all(np.isfinite(array).all() for array in vars(made).values())


def families() -> list[Case]:
    return [
        Case("vae", Event((1, 4, 4), 17, 3)),
        Case("vae", Event((1, 4, 4), 17, 3), {"conditional": True, "latent": 2}),
        Case("vae", Event((1, 4, 4), 6, 3, ordered=False), {"decoder": "categorical"}),
        Case("vae", Event((1, 16), 16, 3), {"latent": 1}),
        Case("maf", Event((3,), None, 3), {"conditional": True}),
        Case("iaf", Event((1, 4, 4), 17, 3)),
    ]


@pytest.mark.parametrize("case", families(), ids=str)
def test_every_kind_of_data_can_be_looked_into(case: Case) -> None:
    family, event = case.build(), case.event
    assert isinstance(family, Latent)
    test, train = told_by(event, 30, 1), told_by(event, 40, 2)
    with torch.no_grad():
        made, coded = look_into(family, event, bool(family.classes), test, train, 0)
    assert isinstance(coded, Coded) and coded.decoded.shape == test[0].shape
    assert coded.codes.shape == coded.prior.shape == (30, int(made.length))
    assert made.codes.shape == made.prior.shape == (30, 2)
    assert len(made.linear) == (PAIRS[event.kind] if not family.classes else min(PAIRS[event.kind], event.classes))
    if case.model in ("maf", "iaf"):
        assert reconstruction_rmse(test[0], coded.decoded, event) < 1e-3


def told_by(event: Event, n: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """Random examples of any event."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % event.classes if event.classes else None
    if event.levels is None:
        return torch.randn(n, *event.shape, generator=generator), labels
    return torch.randint(event.levels, (n, *event.shape), generator=generator, dtype=torch.uint8), labels


# The report


def shown(data: Prepared, length: int | None = None, conditional: bool = False) -> LatentSpace:
    """The block of an entry whose codes are the first numbers of the examples."""
    splits = []
    for name in ("test", "train"):
        split = data.split(name)
        labels = None if split.labels is None else torch.from_numpy(np.array(split.labels))
        splits.append((torch.from_numpy(np.array(split.x)), labels))
    made, _ = look_into(Numbers(data.event, length), data.event, conditional, splits[0], splits[1], 0)
    block = latent_space(data.meta, made, conditional)
    assert block is not None
    return block


def section(block: LatentSpace | None) -> str:
    rows = [{"entry": "vae", "model": "vae", "fid": 1.0}]
    html = render(Report("Title", "Data.", rows, [EntrySection("vae", "vae", Exhibit([], "None."), latents=block)]))
    return html[html.index('<article id="entry-vae"') : html.index("</article>")]


def titles(block: LatentSpace) -> list[str]:
    return [exhibit.caption.partition(":")[0] for exhibit in block.exhibits]


@pytest.mark.parametrize("kind", ["digits", "rgb", "palette"])
def test_images_are_shown_along_everything(tmp_path: Path, kind: str) -> None:
    data = prepared_folder(tmp_path, kind)
    block = shown(data, 5)
    paths = ["Linear interpolation", "Spherical interpolation"]
    directions = ["Directions from labels"] if data.event.classes else []
    assert titles(block) == ["Map of the latent space", "Traversal", *paths, *directions]
    html = section(block)
    alts = re.findall(r'<img[^>]*alt="([^"]*)"', html)
    assert len(alts) == len(block.exhibits) and all(alts)
    assert "a code of 5 numbers" in html and "principal components of the codes, which hold" in html
    assert ("coloured by class" in html) == (kind == "digits"), "twenty colours tell nothing apart"
    assert html.count('class="heads"') == len(block.exhibits) - 1 and "-3 σ" in html
    names = "<i>" in html
    assert not names, "names are escaped"


def test_a_plane_of_codes_has_a_manifold_beside_its_map(tmp_path: Path) -> None:
    data = prepared_folder(tmp_path, "digits")
    block = shown(data, 2, conditional=True)
    assert titles(block)[:2] == ["Map of the latent space", "Manifold"] and "Directions from labels" not in titles(
        block
    )
    assert "given the class" in block.exhibits[1].caption and "principal" not in block.exhibits[0].caption
    assert "no directions from labels" in block.about
    pairs = re.findall(r"(\d) → (\d)", block.exhibits[2].caption)
    assert len(pairs) == PAIRS["image"] and all(start == end for start, end in pairs)


def test_sequences_have_a_card_for_each_step_and_tables_a_map(tmp_path: Path) -> None:
    series = shown(prepared_folder(tmp_path, "levels"), 4)
    assert titles(series) == ["Map of the latent space", "Linear interpolation", "Spherical interpolation"]
    cards = [item.title for item in series.exhibits[1].items]
    assert cards == ["real", "0% of the way", "33% of the way", "67% of the way", "100% of the way", "real"]
    assert all("Linear interpolation" in item.alt for item in series.exhibits[1].items)
    for kind in ("table", "windows"):
        assert titles(shown(prepared_folder(tmp_path, kind))) == ["Map of the latent space"]


def test_an_entry_without_codes_has_no_block(tmp_path: Path) -> None:
    data = prepared_folder(tmp_path, "digits")
    assert latent_space(data.meta, Latents.none(data.event), conditional=False) is None
    assert "Latent space" not in section(None)
