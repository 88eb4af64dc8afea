"""The bundled plans."""

import pytest

from seepage.auditing.federations import Federations
from seepage.auditing.spec import from_plan
from seepage.core.errors import DataError
from seepage.core.plan_reader import read_plan
from seepage.core.registry import card, cards
from seepage.data.sets import stored
from seepage.fl.candidates import usable
from seepage.fl.utility import utility

REAL = ("icu-mortality", "heart-disease", "credit-default", "income")


@pytest.mark.parametrize("name", cards("plans"))
def test_a_bundled_plan_can_be_read(name) -> None:
    plan = read_plan(card("plans", name).load()(), source=name)
    assert plan.name == name


@pytest.mark.parametrize("name", REAL)
def test_a_real_plan_trains_one_job_sensibly_and_overfits_the_other(name) -> None:
    plan = read_plan(card("plans", name).load()(), source=name)
    sensible, overfit = plan.tasks
    assert (sensible.name, overfit.name) == ("sensible", "overfit")
    assert sensible.training.patience > 0 == overfit.training.patience
    assert sensible.data.source == overfit.data.source == name
    assert overfit.data.train_limit > 0


@pytest.mark.parametrize("name", REAL)
def test_a_missing_dataset_is_one_line_that_says_where_to_get_it(name, tmp_path, monkeypatch):
    def offline(url, **_):
        raise OSError(f"no route to {url}")

    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path))
    monkeypatch.setattr(stored.pooch, "retrieve", offline)
    with pytest.raises(DataError, match="get it from https://") as raised:
        from_plan(read_plan(card("plans", name).load()()), source=name)
    assert "\n" not in str(raised.value)


def test_heart_disease_overfits_and_stops_early_as_its_plan_says(data_folder, monkeypatch) -> None:
    monkeypatch.setenv("SEEPAGE_DATA", str(data_folder))
    plan = read_plan(card("plans", "heart-disease").load()())
    spec = from_plan(plan, source="heart-disease")
    models = {}
    for job in spec.jobs:
        assert {c.name for c in job.task.clients} == {"cleveland", "hungarian", "switzerland", "va"}
        federations = Federations(job, seed=0, width=1)
        models[job.task.name] = federations.transcript("defended")
        assert models[job.task.name].task.training.rounds == federations.rounds("defended")
    scores = {job.task.name: utility(models[job.task.name].model, job.task) for job in spec.jobs}
    assert models["sensible"].task.training.rounds < 200
    assert scores["sensible"]["test"] > 0.75
    assert scores["sensible"]["gap"] < 0.1
    assert scores["overfit"]["gap"] > 0.15
    # One patient stands in the files twice, and was once dealt to either side.
    assert usable(spec.jobs[0].task).left_out == "1 are held out and trained on"
