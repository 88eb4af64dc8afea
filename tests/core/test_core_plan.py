import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.core.errors import PlanError, UsageError
from seepage.core.plan import Plan
from seepage.core.plan_reader import plan_from_json, read_plan
from seepage.core.toml_lines import key_lines

PLAN = """\
seed = 3
[[tasks]]
name = "a"
[tasks.training]
rounds = 5
lr = 0.1   # comment = no key
[[tasks]]
name = "b"
moments = [
  "start",
  "end",
]
[[attacks]]
name = "inverting-gradients"
tv = 1e-3
[gate]
tolerance = 0.1
"""


def test_a_plan_is_read_into_types_and_back() -> None:
    plan = read_plan(PLAN)
    assert [t.name for t in plan.tasks] == ["a", "b"]
    assert plan.tasks[0].training.rounds == 5
    assert plan.tasks[1].moments == ("start", "end")
    assert plan_from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("rounds = 5", "roudns = 5", 5, "did you mean 'rounds'?"),
        ("seed = 3", 'seed = "x"', 1, "must be a whole number"),
        ("rounds = 5", "rounds = 0", 5, "use 1 or more"),
        ("tv = 1e-3", "tvv = 1", 15, "did you mean 'tv'?"),
        ('name = "inverting-gradients"', 'name = "invertng"', 14, "inverting-gradients"),
        ("tolerance = 0.1", "tolerance = 3.0", 17, "between 0 and 1"),
        ('name = "b"', 'name = "a"', 8, "two tasks"),
        ("seed = 3", "sead = 3", 1, "did you mean 'seed'?"),
        ('  "end",', '  "ende",', 9, "did you mean 'end'?"),
        ("tolerance = 0.1", 'metrics = ["acu"]', 17, "did you mean 'auc'?"),
        ("seed = 3", 'observers = ["release-reader"]', 1, "not audited yet"),
        ("seed = 3", "units = -1", 1, "0 (enough for a clear)"),
        (
            "tolerance = 0.1",
            'accept = [{ id = "x", reason = "y", expires = "soon" }]',
            17,
            "must be a date",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(
    old: str, new: str, line: int, words: str
) -> None:
    with pytest.raises(PlanError) as caught:
        read_plan(PLAN.replace(old, new), source="p.toml")
    assert str(caught.value).startswith(f"p.toml:{line}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_reach_members_of_lists_by_name() -> None:
    plan = read_plan(
        PLAN,
        settings=[
            "tasks.b.training.lr=0.5",
            "attacks.inverting-gradients.tv=1e-2",
            "budget=5m",
            "gate.tolerance=0.2",
        ],
    )
    assert plan.tasks[1].training.lr == 0.5
    assert plan.attacks[0].settings["tv"] == 1e-2
    assert plan.budget_seconds == 300
    with pytest.raises(UsageError, match=r"did you mean 'b'|known"):
        read_plan(PLAN, settings=["tasks.bb.training.lr=1"])
    with pytest.raises(UsageError, match="key=value"):
        read_plan(PLAN, settings=["seed"])


def test_settings_reach_attacks_that_the_plan_leaves_to_the_default() -> None:
    plan = read_plan("seed = 1", settings=["attacks.dlg.steps=3"])
    assert {a.name for a in plan.attacks} > {"dlg", "fully-connected"}
    assert next(a for a in plan.attacks if a.name == "dlg").settings == {"steps": 3}


@given(
    st.lists(
        st.sampled_from(["x = 1", "[t]", "[[u]]", "# c", "", 'y = """', "z = [1,", "]"]),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_scanner_survives_any_lines(lines: list[str]) -> None:
    found = key_lines("\n".join(lines))
    assert all(1 <= n <= len(lines) for n in found.values())


def test_the_scanner_places_keys_after_multi_line_values() -> None:
    text = 'a = """\nb = 1\n"""\nc = [\n 1,\n]\n[[t]]\nd = 2\n[[t]]\n[t.e]\nf = 3\n'
    lines = key_lines(text)
    assert lines[("c",)] == 4
    assert lines[("t", 0, "d")] == 8
    assert lines[("t", 1, "e", "f")] == 11
    assert ("b",) not in lines


def test_the_empty_plan_is_the_default_one() -> None:
    assert read_plan("") == Plan()
