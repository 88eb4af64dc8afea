import numpy as np
import pytest
import torch
from fl_jobs import job
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from seepage.core.errors import RefusedError
from seepage.defenses.api import DPFTRL, DPSGD, LocalDP
from seepage.fl.batches import Cycle, Epochs, Poisson, cohort_of, draws_of
from seepage.fl.engine import train


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 30), data=st.data(), seed=st.integers(0, 99))
def test_each_epoch_uses_each_record_once_in_full_batches(n, data, seed):
    size = data.draw(st.integers(1, n))
    draws = Epochs(n, size, torch.Generator().manual_seed(seed))
    batches = [draws.draw().tolist() for _ in range(3 * n)]
    assert all(len(set(batch)) == size for batch in batches)
    stream = [i for batch in batches for i in batch]
    for start in range(0, len(stream) - n + 1, n):
        assert sorted(stream[start : start + n]) == list(range(n))


def test_epochs_are_reshuffled():
    draws = Epochs(20, 10, torch.Generator().manual_seed(0))
    first, second = ([*draws.draw().tolist(), *draws.draw().tolist()] for _ in range(2))
    assert first != second
    assert first != sorted(first)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 30), data=st.data(), seed=st.integers(0, 99))
def test_a_cycle_keeps_its_order_and_its_distance(n, data, seed):
    size = data.draw(st.integers(1, n))
    draws = Cycle(n, size, torch.Generator().manual_seed(seed))
    batches = [draws.draw().tolist() for _ in range(3 * n)]
    assert all(len(set(batch)) == size for batch in batches)
    stream = [i for batch in batches for i in batch]
    assert sorted(stream[:n]) == list(range(n))
    assert stream == [stream[k % n] for k in range(len(stream))]
    if size < n == 30:
        assert stream[:n] != sorted(stream[:n])


def test_defenses_that_need_other_batches_are_not_combined():
    rng = torch.Generator()
    assert isinstance(draws_of([], 8, 4, rng), Epochs)
    assert isinstance(draws_of([LocalDP(), DPSGD()], 8, 4, rng), Poisson)
    assert isinstance(draws_of([LocalDP(), DPFTRL()], 8, 4, rng), Cycle)
    with pytest.raises(RefusedError, match=r"dp-sgd needs batches .* dp-ftrl epochs in one order"):
        train(job(), defenses=[DPFTRL(), DPSGD()], seed=0)


def test_poisson_batch_sizes_are_binomial_and_records_independent():
    draws = Poisson(20, 4, torch.Generator().manual_seed(7))
    drawn = [draws.draw() for _ in range(6_000)]
    sizes = np.bincount([len(d) for d in drawn], minlength=21)
    expected = 6_000 * binom.pmf(np.arange(21), 20, 0.2)
    kept = expected > 5
    observed = np.append(sizes[kept], sizes[~kept].sum())
    assert chisquare(observed, np.append(expected[kept], expected[~kept].sum())).pvalue > 1e-3
    both = np.mean([(0 in d) and (1 in d) for d in drawn])
    assert abs(both - 0.04) < 4 * np.sqrt(0.04 * 0.96 / 6_000)


def test_cohorts_are_distinct_and_uniform():
    cohorts = [cohort_of(6, 2, torch.Generator().manual_seed(i)) for i in range(3_000)]
    assert all(len(set(c)) == 2 and c == tuple(sorted(c)) for c in cohorts)
    pairs = np.unique([6 * a + b for a, b in cohorts], return_counts=True)[1]
    assert len(pairs) == 15
    assert chisquare(pairs).pvalue > 1e-3
    assert cohort_of(6, 6, torch.Generator()) == (0, 1, 2, 3, 4, 5)


def test_a_job_samples_cohorts_anew_each_round_and_keeps_each_clients_order():
    transcript = train(job(cohort=2, rounds=30, clients=4), seed=0, record=range(30))
    cohorts = [tuple(r.released) for r in transcript.rounds.values()]
    assert len(set(cohorts)) > 3
    for client in range(4):
        rows = torch.cat(
            [r.batches[client].rows for r in transcript.rounds.values() if client in r.batches]
        )
        # Three batches of 4 make an epoch of 12, however many rounds lie between.
        for epoch in rows[: len(rows) // 12 * 12].split(12):
            assert epoch.unique().numel() == 12


def test_the_truth_of_several_steps_holds_each_record_once():
    record = train(job(local_steps=7), seed=0, record=[0]).rounds[0]
    assert sorted(record.batches[1].rows.tolist()) == list(range(100, 112))
    record = train(job(local_steps=2), seed=0, record=[0]).rounds[0]
    assert record.batches[1].rows.unique().numel() == len(record.batches[1]) == 8
