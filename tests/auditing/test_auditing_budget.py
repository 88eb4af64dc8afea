"""An audit trains a job many times, so it must not touch real budgets."""

from pathlib import Path

import pytest
import torch
from torch import nn

from seepage.accounting import Ledger
from seepage.auditing.api import audit
from seepage.core.errors import UsageError
from seepage.defenses import DPSGD, PrivacyBudget


def test_an_audit_spends_nobodys_budget(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.db", target_epsilon=50.0, target_delta=1e-5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    data = torch.rand(200, 64), torch.randint(0, 10, (200,))
    with pytest.raises(UsageError, match="privacy-budget: an audit trains the job many times"):
        audit(model, nn.CrossEntropyLoss(), data, defenses=[DPSGD(), PrivacyBudget(ledger=book)])
    assert book.clients() == ()
