"""What parties of a hybrid sum see, who can open what, and by how much noise."""

from pathlib import Path

import numpy as np
import pytest
from hybrid_sums import RING, STAGES, bits_are_uniform, masked, rows_of, share_words, summed
from scipy.stats import chisquare

from seepage.core.errors import RefusedError, UsageError
from seepage.crypto import hybrid
from seepage.crypto.entropy import Entropy
from seepage.crypto.environments.cards import OPENFHE
from seepage.crypto.environments.find import find
from seepage.crypto.environments.worker import Worker
from seepage.crypto.hybrid import rounds
from seepage.crypto.hybrid.parameters import BITS, PRIME_BITS, RING_DEGREE, statistical_bits
from seepage.crypto.hybrid.team import Team
from seepage.crypto.hybrid.words import Words, drawn, signed
from seepage.crypto.wire import PartyView

NOISES = f"""
import sys
sys.path.append({str(Path(hybrid.__file__).parent)!r})
import numpy as np
from openfhe_bfv import Ring, fhe

def shifted(ring, cipher, bits):
    while bits:
        step = min(bits, 27)
        constant = ring.context.MakeCoefPackedPlaintext([1 << step])
        cipher, bits = ring.context.EvalMult(cipher, constant), bits - step
    return cipher

def noises(settings, parts):
    # What is opened of words that add up to nothing, times 2^bits: their own noise; a client's.
    ring = Ring.new(settings["degree"], settings["prime_bits"], settings["bits"])
    pair = ring.context.KeyGen()
    total = None
    for words in parts:
        cipher = ring.context.Encrypt(pair.publicKey, ring.plain(words))
        total = cipher if total is None else ring.context.EvalAdd(total, cipher)
    own = ring.context.Decrypt(pair.secretKey, shifted(ring, total, settings["own"]))
    own.SetLength(ring.degree)
    part = ring.decrypted_in_part(total, pair.secretKey, True)
    flood = ring.opened(shifted(ring, part, settings["flood"]))
    return {{}}, [np.array(own.GetCoefPackedValue()), flood]

CALLS = {{"noises": noises}}
"""


def test_no_party_sees_a_vector_and_the_masks_are_why(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power: of 20,000 words, a mask that lacks one of 29 bits is found."""
    rows = np.stack([np.zeros(10_000), np.full(10_000, 0.25)])
    found = summed(team, rows)
    assert bits_are_uniform(masked(found))
    for party in ("party 0", "party 1", "party 2"):
        view = found.views[party]
        assert view.sum is None
        assert {m.kind for m in view.received} <= {"joint key", "masked", "share"}
        shares = [m for m in view.received if m.kind == "share"]
        assert len(shares) == 4
        for message in shares:
            words = share_words(message.payload, 10_000)
            assert chisquare(np.bincount(words.view(np.uint8), minlength=256)).pvalue > 1e-6
    result = [share_words(s, 10_000) for s in found.views["server"].of("masked result").values()]
    total = sum(each.reshape(-1, 2)[:, 0] for each in result)
    assert (total & (2 ** (64 - BITS) - 1) == 0).all()
    assert bits_are_uniform(total >> (64 - BITS))

    def shorter(shape: tuple[int, ...], bits: int, entropy: Entropy) -> Words:
        return drawn(shape, bits - 1, entropy)

    monkeypatch.setattr(rounds, "drawn", shorter)
    assert not bits_are_uniform(masked(summed(team, rows)))
    monkeypatch.setattr(rounds, "drawn", lambda shape, *_: np.zeros(shape, np.int64))
    open_words = masked(summed(team, rows)).reshape(2, -1)
    assert not open_words[0].any()
    assert (open_words[1] == 2 ** (BITS - 6)).all()


def test_a_seed_repeats_masks_and_none_draws_them_anew(team: Team) -> None:
    rows = rows_of(2, 50)
    once, again, other = (masked(summed(team, rows, seed=seed)) for seed in (1, 1, None))
    assert (once == again).all()
    assert (once != other).mean() > 0.9


def test_each_key_is_fresh_and_stays_with_the_clients(team: Team) -> None:
    runs = [summed(team, rows_of(3, 5)) for _ in range(2)]
    keys = {bytes(run.views["party 1"].of("joint key")["server"]) for run in runs}
    assert len(keys) == 2
    kinds = {m.kind for m in runs[0].views["server"].received}
    assert kinds == {
        "keys", "joint key", "upload", "encrypted mask", "convert", "masked result", "open"
    }  # fmt: skip
    assert runs[0].views["server"].sum is not None
    assert all(runs[0].views[f"client {c}"].sum is None for c in range(3))


@pytest.mark.parametrize("stage", ["convert", "open"])
def test_fewer_clients_than_the_threshold_open_nothing(team: Team, stage: str) -> None:
    rows = rows_of(5, 7)
    drop = {0: stage, 4: stage}
    found = summed(team, rows, drop=drop, reduction="median")
    assert np.abs(found.sum - np.median(rows, axis=0)).max() <= found.max_error
    for threshold in (4, 5):
        with pytest.raises(RefusedError, match=r"2 of the 5 clients .* are lost.*sum anew"):
            summed(team, rows, drop=drop, threshold=threshold)
    with pytest.raises(UsageError, match="use 1 to 5"):
        summed(team, rows, threshold=6)


def test_a_part_of_a_decryption_opens_nothing(team: Team) -> None:
    (ring,) = team.clients.call("start", **RING).parts
    team.server.call("start", [ring])
    public = team.clients.call("make_key", [bytes(32)], client=0).parts[0]
    public = team.clients.call("make_key", [bytes(32), public], client=1).parts[0]
    words = np.full(RING_DEGREE, -(2 ** (BITS - 1)))
    sent = team.clients.call("encrypt", [public, words]).parts
    parts = [
        team.clients.call("decrypt_in_part", sent, client=c, lead=c == 0).parts for c in (0, 1)
    ]

    def opened(*given: list[object]) -> Words:
        for each in given:
            team.server.call("fuse", each, name="test")
        return signed(team.server.call("opened", name="test").parts[0], BITS)

    assert bits_are_uniform(opened(parts[0]))
    assert (opened(*parts) == words).all()


def test_noise_is_no_more_than_stated_and_its_flood_no_less(team: Team, tmp_path: Path) -> None:
    python = find(OPENFHE)
    assert python is not None
    script = tmp_path / "noises.py"
    script.write_text(NOISES)
    words = drawn((3, RING_DEGREE), BITS, Entropy())
    log_ratio = 3 * PRIME_BITS - BITS  # of Q / t, which what is opened was divided by
    with Worker(python, script, name="noises") as worker:
        own, flood = worker.call(
            "noises", [*words, signed(-words.sum(0), BITS)], own=log_ratio + 4, flood=54, **RING
        ).parts
    most = 2.0 ** (2 * PRIME_BITS - statistical_bits(1, 3, 1)) / (2 * RING_DEGREE)
    assert 100 < np.abs(own / 2.0**4).max() < most
    scaled = flood / 2.0 ** (2 * PRIME_BITS + 54 - log_ratio)
    assert chisquare(np.histogram(scaled, 64, (-0.5, 0.5))[0]).pvalue > 1e-6
    assert np.abs(scaled).max() < 0.5 + 1e-6


def test_views_hold_messages_and_costs_count_them(team: Team) -> None:
    found = summed(team, rows_of(3, 100), reduction="median")
    view: PartyView = found.views["server"]
    assert sum(len(m.payload) for m in view.received if m.sender == "client 1") == (
        found.cost.bytes_up_per_client
    )
    assert found.cost.bytes_between_servers > 100 * 3 * 3 * 2 * 16
    assert found.cost.rounds == len(STAGES)
