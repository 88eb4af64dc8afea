"""Defenses by real secure sums: the job trains as it would, and nobody sees an update."""

import pytest
import torch

from seepage.core.errors import RefusedError, UsageError
from seepage.core.seeds import torch_rng
from seepage.core.threat import Capability
from seepage.crypto.cards import protocol_card
from seepage.defenses.api import (
    ABY3,
    CKKS,
    SEMI2K,
    SPDZ,
    DistributedDP,
    Hybrid,
    Masking,
    ModelCommitment,
    SelectiveEncryption,
    ThresholdCKKS,
)
from seepage.defenses.sums.protected_sum import flattened, unflattened
from seepage.fl.engine import train
from seepage.fl.state import shared_state
from tables import job

SUMS = [Masking(), SPDZ(), CKKS(), ThresholdCKKS(), ABY3(), SEMI2K(), Hybrid()]
EACH = pytest.mark.parametrize("defense", SUMS, ids=lambda defense: defense.protocol)


def here(defense):
    """Skip where what the protocol runs on is not installed."""
    if missing := protocol_card(defense.protocol).missing():
        pytest.skip(f"{defense.protocol}: {missing}")
    return defense


@EACH
def test_a_job_trains_as_without_it(defense) -> None:
    task = job(width=8, rounds=3, batch_size=5, lr=0.5)
    start, plain, protected = (
        shared_state(train(task, defenses=d, seed=0, record={0}).model)
        if d is not None
        else train(task, seed=0, record={0}).states[0]
        for d in (None, (), (here(defense),))
    )
    for name, value in plain.items():
        assert not torch.allclose(start[name], value, atol=1e-3)
        assert torch.allclose(protected[name], value, rtol=0, atol=2e-6)


@EACH
def test_the_server_sees_no_update(defense) -> None:
    """Of three clients that send the same, neither the words nor the doubles are anywhere."""
    update = {"w": torch.linspace(-1, 1, 40).view(5, 8), "b": torch.full((3,), 0.25)}
    found = here(defense).summed([update] * 3, [b""] * 3, torch_rng(0))
    exact = 3 * flattened(update)
    assert abs(found.sum - exact).max() <= found.max_error < 1e-5
    words = flattened(update)
    fixed = [(words * 2**bits).round().astype("<i8") for bits in range(16, 41)]
    shapes = [words, words.astype("f4"), *fixed, *(f.astype("<i4") for f in fixed)]
    for name, view in found.views.items():
        if name.startswith("client"):
            continue
        seen = b"".join(bytes(message.payload) for message in view.received)
        assert not any(shape[:20].tobytes() in seen for shape in shapes), name
    assert Capability.SEES_CLIENT_UPDATES in type(defense).hides


def test_what_exceeds_the_public_bound_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"w holds 3, beyond the public bound 2; raise bound"):
        Masking(bound=2.0).protect_update({"w": torch.tensor([1.0, -3.0])}, torch_rng(0))
    with pytest.raises(RefusedError, match="NaN"):
        Masking().protect_update({"w": torch.tensor([float("nan")])}, torch_rng(0))


def test_too_few_clients_get_no_sum() -> None:
    train(job(rounds=1), defenses=(Masking(minimum_cohort=4),), seed=0)
    with pytest.raises(RefusedError, match="fewer than the 4 that the terms ask for"):
        train(job(rounds=1, cohort=3), defenses=(Masking(minimum_cohort=4),), seed=0)


def test_settings_that_make_no_sense_are_refused_when_they_are_given() -> None:
    with pytest.raises(UsageError, match="even number"):
        Masking(neighbors=3)
    for setting in ({"threshold": 0}, {"colluders": -1}, {"minimum_cohort": 1}, {"bound": 0.0}):
        with pytest.raises(UsageError, match="masking"):
            Masking(**setting)


def test_a_job_has_one_sum() -> None:
    with pytest.raises(UsageError, match="Masking and SPDZ would each add the updates up"):
        train(job(rounds=1), defenses=(Masking(), SPDZ()), seed=0)


def test_it_stands_beside_a_commitment_and_refuses_other_defenses_huge_integers() -> None:
    train(job(rounds=1), defenses=(Masking(), ModelCommitment()), seed=0)
    with pytest.raises(RefusedError, match="beyond the public bound"):
        train(job(rounds=1), defenses=(DistributedDP(), Masking()), seed=0)


def test_what_was_flattened_gets_its_shapes_back() -> None:
    update = {"w": torch.randn(3, 4), "n": torch.tensor(2.0), "none": torch.empty(0)}
    for name, value in unflattened(flattened(update), update).items():
        assert torch.equal(value.float(), update[name])


@EACH
def test_bytes_are_what_the_protocol_really_sends(defense) -> None:
    update = {"w": torch.zeros(100_000)}
    found = here(defense).summed([update] * 8, [b""] * 8, torch_rng(0))
    assert defense.upload_bytes(400_000) == pytest.approx(found.cost.bytes_up_per_client, rel=0.05)


@pytest.mark.parametrize("rule", ["largest", "last", "random"])
def test_selective_encryption_hides_its_share_and_sums_all(rule: str) -> None:
    defense = SelectiveEncryption(fraction=0.25, rule=rule)
    task = job(width=8, rounds=2, batch_size=5, lr=0.5)
    found, plain = (train(task, defenses=d, seed=0, record={1}) for d in ((defense,), ()))
    for name, value in shared_state(plain.model).items():
        assert torch.equal(shared_state(found.model)[name], value)
    hidden = [u == 0 for u in map(flattened, found.rounds[1].released.values())]
    exact = [flattened(update) for update in plain.rounds[1].released.values()]
    count = round(0.25 * len(hidden[0]))
    encrypted = flattened(defense.encrypted(list(plain.rounds[1].released.values()))) == 1
    assert encrypted.sum() == count
    for zeros, update in zip(hidden, exact, strict=True):
        assert (zeros == (encrypted | (update == 0))).all()
    if rule == "largest":
        squares = sum(update**2 for update in exact)
        assert squares[encrypted].min() >= squares[~encrypted].max()
    assert defense.upload_bytes(4000) == 3000 + 5200
