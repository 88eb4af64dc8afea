from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from sklearn.metrics import roc_auc_score, roc_curve

from seepage.metrics import membership, reconstruction
from seepage.metrics.matching import match


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
def test_ssim_is_scikit_images(shape: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, *shape, generator=rng)
    b = 0.5 * a + 0.5 * b
    ours = reconstruction.ssim(a, b)
    for i in range(3):
        theirs = structural_similarity(
            a[i].numpy(), b[i].numpy(), win_size=7, data_range=1.0, channel_axis=0
        )
        assert float(ours[i]) == pytest.approx(theirs, abs=1e-5)


@given(st.permutations(range(6)))
@settings(max_examples=20, deadline=None)
def test_identification_ignores_the_order_of_a_batch(order: list[int]) -> None:
    rng = torch.Generator().manual_seed(1)
    gallery = torch.rand(200, 12, generator=rng)
    noisy = gallery[:6] + 0.05 * torch.randn(6, 12, generator=rng)
    assert [j for _, j in sorted((i, j) for i, j in match(noisy[order], gallery[:6]))] == order
    assert reconstruction.identified(noisy[order], gallery[:6], gallery).all()


def test_noise_identifies_no_oftener_than_chance() -> None:
    rng = torch.Generator().manual_seed(2)
    gallery = torch.rand(500, 64, generator=rng)
    hits = [
        float(
            reconstruction.identified(torch.rand(4, 64, generator=rng), gallery[:4], gallery)
            .float()
            .mean()
        )
        for _ in range(200)
    ]
    assert np.mean(hits) < 0.02


def test_copies_in_the_gallery_do_not_compete_and_nan_never_hits() -> None:
    x = torch.eye(3)
    assert reconstruction.identified(x[:1], x[:1], torch.cat([x, x])).all()
    assert not reconstruction.identified(torch.full((1, 3), torch.nan), x[:1], x).any()


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_auc_and_tpr_are_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    members = rng.normal(0.7, 1, 80).round(1)
    others = rng.normal(0, 1, 120).round(1)
    y, s = np.r_[np.ones(80), np.zeros(120)], np.r_[members, others]
    assert membership.AUC.of(members, others).value == pytest.approx(roc_auc_score(y, s))
    fpr, tpr, _ = roc_curve(y, s, drop_intermediate=False)
    theirs = max(t for f, t in zip(fpr, tpr, strict=True) if f <= 0.05)
    ours = membership.tprs_at(members[None], others[None], 0.05)[0]
    assert ours <= theirs + 1e-12
    assert membership.realized_fpr(others, 0.05) <= 0.05


def test_intervals_cover_what_they_promise() -> None:
    rng = np.random.default_rng(3)
    truth, covered_auc, covered_tpr = 0.7602, 0, 0
    true_tpr = 0.1210  # P(N(1, 1) > Phi^-1(.985)) with 15 of 1000 non-members above
    for _ in range(60):
        a, b = rng.normal(1, 1, 300), rng.normal(0, 1, 300)
        low, high = membership.AUC.of(a, b).interval()
        covered_auc += low <= truth <= high
        low, high = membership.TPR.of(a, b, 0.015, rng).interval()
        covered_tpr += low <= true_tpr <= high
    assert covered_auc >= 51
    assert covered_tpr >= 51


def test_separated_scores_of_few_members_do_not_claim_certainty() -> None:
    low, high = membership.AUC.of(np.array([2.0, 3.0]), np.array([0.0, 1.0])).interval()
    assert low < 0.2
    assert high == 1.0


def test_paired_gains_are_narrow_and_cover() -> None:
    rng = np.random.default_rng(4)
    covered_auc = covered_tpr = 0
    for _ in range(60):
        easy = rng.normal(0, 1, 1500)
        score, null = easy + rng.normal(0, 0.3, 1500), easy + rng.normal(0, 0.3, 1500)
        both = np.stack([score, null], 1)
        gain = membership.auc_gain(both[:1000], both[1000:])
        alone = membership.AUC.of(score[:1000], score[1000:])
        assert gain.error < 0.6 * alone.error
        low, high = gain.interval()
        covered_auc += low <= 0 <= high
        low, high = membership.tpr_gain(both[:1000], both[1000:], 0.02, rng).interval()
        covered_tpr += low <= 0 <= high
    assert covered_auc >= 52
    assert covered_tpr >= 52


def test_an_original_among_the_candidates_is_no_rival_of_itself(data_folder: Path) -> None:
    """With many candidates and dimensions, distances by matrix products are not exact."""
    arrays = np.load(data_folder / "images" / "fashion_mnist" / "fashion_mnist_30k_10k.npz")
    images = torch.tensor(arrays["x_test"][:1000, None] / 255, dtype=torch.float32)
    rng = torch.Generator().manual_seed(0)
    blurred = images[:50] + 0.01 * torch.randn(images[:50].shape, generator=rng)
    assert bool(reconstruction.identified(blurred, images[:50], images).all())
