import pytest
import torch
import torch.nn.functional as F
from fl_jobs import Plain, gap, job

from seepage.core.errors import RefusedError
from seepage.core.seeds import torch_rng
from seepage.fl.engine import train


class Scale(Plain):
    """Adds to what leaves, scales what is counted, shifts the mean."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def protect_update(self, update, rng):
        self.log.append((self.name, "protect"))
        return {n: v + 1 for n, v in update.items()}

    def bound_update(self, update):
        self.log.append((self.name, "bound"))
        return {n: v * 2 for n, v in update.items()}

    def protect_aggregate(self, aggregate, contributors, rng):
        self.log.append((self.name, "aggregate", contributors))
        return {n: v - 3 for n, v in aggregate.items()}

    def upload_bytes(self, plain):
        return plain // 2 + 1


def test_defenses_act_in_order_and_each_where_it_should():
    log = []
    task = job(clients=2, rounds=1)
    defended = train(task, defenses=[Scale("a", log), Scale("b", log)], seed=0, record=[0])
    raw = train(task, seed=0, record=[0]).rounds[0]
    once = [("a", "protect"), ("b", "protect"), ("a", "bound"), ("b", "bound")]
    assert log == once * 2 + [("a", "aggregate", 2), ("b", "aggregate", 2)]
    record = defended.rounds[0]
    for client in (0, 1):
        assert (
            gap(record.released[client], {n: v + 2 for n, v in raw.released[client].items()}) < 1e-6
        )
    mean = {n: 4 * (v + 2) - 6 for n, v in raw.aggregate.items()}
    assert gap(record.aggregate, mean) < 1e-6
    plain = 4 * (64 * 16 + 16 + 160 + 10)
    assert defended.bytes_up == 2 * ((plain // 2 + 1) // 2 + 1)
    assert defended.bytes_down == 2 * plain


class Noise(Plain):
    def __init__(self, draws):
        self.draws = draws

    def protect_update(self, update, rng):
        noise = {n: torch.randn(v.shape, generator=rng) for n, v in update.items()}
        self.draws.append(noise["1.weight"])
        return noise

    def protect_aggregate(self, aggregate, contributors, rng):
        self.draws.append(torch.randn(aggregate["1.weight"].shape, generator=rng))
        return aggregate


def test_noise_is_fresh_for_every_client_round_and_replica_and_repeats_with_the_seed():
    runs = []
    for replica in (0, 0, 1):
        runs.append([])
        train(job(clients=3, rounds=2), defenses=[Noise(runs[-1])], seed=0, replica=replica)
    first, again, other = runs
    assert len(first) == 2 * (3 + 1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    every = torch.stack([*first, *other]).flatten(1)
    assert (torch.corrcoef(every) - torch.eye(16)).abs().max() < 0.2


class OwnGradient(Plain):
    def __init__(self, seen=None):
        self.seen = [] if seen is None else seen

    def gradient(self, step, rng):
        self.seen.append((len(step.inputs), step.expected_batch, step.model.training))
        assert step.targets.shape == step.inputs.shape[:1]
        return {n: torch.full_like(p, 2.0) for n, p in step.model.named_parameters()}


class PoissonGradient(OwnGradient):
    poisson = True


class Sampled(Plain):
    poisson = True


def test_a_defenses_gradient_replaces_the_plain_one():
    record = train(job(lr=0.5), defenses=[OwnGradient()], seed=0, record=[0]).rounds[0]
    assert all((v == -1.0).all() for v in record.released[3].values())
    stepped = train(job(lr=0.5, local_steps=2), defenses=[OwnGradient()], seed=0, record=[0])
    assert all(
        torch.allclose(v, torch.tensor(-2.0)) for v in stepped.rounds[0].released[3].values()
    )


def test_poisson_batches_may_be_empty_and_still_reach_the_defense():
    defense = PoissonGradient()
    task = job(n=20, batch_size=1, rounds=100)
    transcript = train(task, defenses=[defense], seed=0, record=range(100))
    sizes = torch.tensor([s for s, _, _ in defense.seen], dtype=torch.float64)
    assert {(e, t) for _, e, t in defense.seen} == {(1, True)}
    assert len(sizes) == 400
    assert (sizes == 0).any()
    assert abs(sizes.mean() - 1) < 4 * (0.95 / 400) ** 0.5
    truth = [len(r.batches[c]) for r in transcript.rounds.values() for c in range(4)]
    assert truth == sizes.int().tolist()


def test_plain_poisson_divides_the_sum_by_the_expected_size():
    task = job(n=12, batch_size=3, rounds=12)
    transcript = train(task, defenses=[Sampled()], seed=0, record=range(12))
    sizes = set()
    for record in transcript.rounds.values():
        model = task.build(torch_rng(0, "model", 0))
        model.load_state_dict(record.state)
        batch, update = record.batches[0], record.released[0]
        sizes.add(len(batch))
        loss = F.cross_entropy(model(batch.inputs), batch.targets, reduction="sum") / 3
        for (name, _), g in zip(
            model.named_parameters(),
            torch.autograd.grad(loss, list(model.parameters())),
            strict=True,
        ):
            assert torch.allclose(update[name], -0.1 * g, atol=1e-7)
    assert len(sizes) > 2


class Returns(Plain):
    def __init__(self, hook, value):
        self.hook, self.value = hook, value

    def gradient(self, step, rng):
        return self.value if self.hook == "gradient" else None

    def protect_update(self, update, rng):
        return self.value(update) if self.hook == "update" else update

    def bound_update(self, update):
        return self.value(update) if self.hook == "bound" else update

    def protect_aggregate(self, aggregate, contributors, rng):
        return self.value(aggregate) if self.hook == "aggregate" else aggregate


@pytest.mark.parametrize("hook", ["update", "bound", "aggregate"])
@pytest.mark.parametrize(
    ("value", "match"),
    [
        (lambda u: {n: v * torch.nan for n, v in u.items()}, "not finite"),
        (lambda u: {**u, "extra": torch.zeros(1)}, "extra"),
        (lambda u: {**u, "1.bias": torch.zeros(3)}, r"1\.bias"),
    ],
)
def test_a_defense_that_breaks_the_update_releases_nothing(hook, value, match):
    with pytest.raises(RefusedError, match=match):
        train(job(), defenses=[Returns(hook, value)], seed=0, record=[0])


def test_two_gradients_or_a_wrong_one_are_refused():
    with pytest.raises(RefusedError, match="OwnGradient and OwnGradient each replace"):
        train(job(), defenses=[OwnGradient(), OwnGradient()], seed=0)
    with pytest.raises(RefusedError, match="does not match the model at"):
        train(job(), defenses=[Returns("gradient", {"1.bias": torch.zeros(16)})], seed=0)


def test_updates_without_the_same_tensors_are_refused_but_all_may_leave_one_out():
    def drop(update):
        return {n: v for n, v in update.items() if n != "1.bias"}

    transcript = train(job(rounds=2), defenses=[Returns("update", drop)], seed=0, record=[0, 1])
    assert torch.equal(transcript.states[0]["1.bias"], transcript.states[1]["1.bias"])
    turns = iter(range(99))
    odd = Returns("update", lambda u: drop(u) if next(turns) == 1 else u)
    with pytest.raises(RefusedError, match=r"1\.bias.*client 1"):
        train(job(), defenses=[odd], seed=0)


class Refusing(Plain):
    def check(self, model, training):
        model[1].weight.data.zero_()
        if training.local_steps > 1:
            raise RefusedError("one step only")


def test_check_comes_first_and_cant_change_the_model():
    with pytest.raises(RefusedError, match="one step only"):
        train(job(local_steps=2), defenses=[Refusing()], seed=0)
    assert train(job(), defenses=[Refusing()], seed=0, record=[0]).states[0]["1.weight"].any()
