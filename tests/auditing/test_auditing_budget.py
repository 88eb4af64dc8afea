"""What an audit must not do with budgets and epsilons: spend them, or quote them too widely."""

from pathlib import Path

import pytest
import torch
from torch import nn

from seepage.accounting import Ledger
from seepage.auditing.api import audit
from seepage.auditing.bounds import covers
from seepage.core.errors import UsageError
from seepage.core.privacy import Exposure
from seepage.core.threat import Observer
from seepage.defenses import (
    DPFTRL,
    DPSGD,
    CentralDP,
    LocalDP,
    PrivacyBudget,
    RandomizedResponse,
)


def test_an_audit_spends_nobodys_budget(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.db", target_epsilon=50.0, target_delta=1e-5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    data = torch.rand(200, 64), torch.randint(0, 10, (200,))
    with pytest.raises(UsageError, match="privacy-budget: an audit trains the job many times"):
        audit(model, nn.CrossEntropyLoss(), data, defenses=[DPSGD(), PrivacyBudget(ledger=book)])
    assert book.clients() == ()


def test_no_epsilon_is_quoted_against_an_observer_that_it_does_not_cover() -> None:
    job = Exposure(rounds=12, local_steps=1, batch_size=5, examples=50, clients=8, cohort=8)
    for defense in (DPFTRL(), DPSGD(), LocalDP()):
        records = defense.privacy(job)
        assert not covers(records, Observer.MALICIOUS_SERVER)
        assert all(covers(records, o) for o in Observer if o != Observer.MALICIOUS_SERVER)
    assert covers(RandomizedResponse().privacy(job), Observer.MALICIOUS_SERVER)
    assert [o for o in Observer if not covers(CentralDP().privacy(job), o)] == [
        Observer.MALICIOUS_SERVER,
        Observer.HONEST_SERVER,
        Observer.EAVESDROPPER,
    ]
