import ast
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seepage.crypto.environments import frames
from seepage.crypto.environments.cards import ENVIRONMENTS
from seepage.crypto.environments.worker import Worker, WorkerError, answers

SCRIPT = """\
import os, sys, time
import numpy as np

def add(settings, parts):
    return {"of": len(parts), **settings}, [sum(parts), b"bytes"]

def refuse(settings, parts):
    raise ValueError("two\\nlines. Stacktrace: #0 f()+0x7f")

def die(settings, parts):
    print("last words", file=sys.stderr, flush=True)
    os._exit(7)

def chat(settings, parts):
    print("a library prints this")
    return {}, []

def sleep(settings, parts):
    time.sleep(60)

def pid(settings, parts):
    return {"pid": os.getpid()}, []

CALLS = {name: f for name, f in list(globals().items()) if callable(f)}
"""
NUMBERS = st.sampled_from(["<f8", "<f4", ">i4", "<u8", "|u1", "|b1", "<c16"])
PARTS = st.lists(
    st.one_of(
        st.binary(max_size=50),
        arrays.arrays(NUMBERS, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0)),
    ),
    max_size=4,
)
HEADERS = st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(), st.none()))


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def start(script: Path) -> Worker:
    return Worker(Path(sys.executable), script, name="the worker")


def across(sent: bytes) -> frames.Frame | None:
    """What the other side makes of bytes after which the link ends."""
    near, far = socket.socketpair()
    with near, far:
        near.sendall(sent)
        near.shutdown(socket.SHUT_WR)
        return frames.receive(far)


def raw(header: dict[str, object], parts: list[frames.Part]) -> bytes:
    near, far = socket.socketpair()
    with near, far:
        frames.send(near, header, parts)
        near.shutdown(socket.SHUT_WR)
        return far.makefile("rb").read()


@given(header=HEADERS, parts=PARTS)
def test_what_is_sent_is_what_arrives(header: dict[str, object], parts: list[frames.Part]) -> None:
    frame = across(raw(header, parts))
    assert frame is not None
    assert frame[0] == header
    assert len(frame[1]) == len(parts)
    for sent, got in zip(parts, frame[1], strict=True):
        if isinstance(sent, np.ndarray):
            assert isinstance(got, np.ndarray)
            assert (got.dtype, got.shape) == (sent.dtype, sent.shape)
            assert got.tobytes() == sent.tobytes()
        else:
            assert bytes(got) == sent


@given(parts=PARTS, data=st.data())
def test_a_torn_frame_is_told_from_an_end(parts: list[frames.Part], data: st.DataObject) -> None:
    whole = raw({"a": 1}, parts)
    cut = data.draw(st.integers(1, len(whole) - 1))
    assert across(b"") is None
    with pytest.raises(frames.TornFrameError):
        across(whole[:cut])


@pytest.mark.parametrize(
    "kind",
    [
        {"dtype": "|O", "shape": [1]},
        {"dtype": "<f8", "shape": [-1]},
        {"dtype": "<f8", "shape": [2**60]},
        {"size": -1},
        {"size": 2**62},
        {"dtype": "(3,3)O"},
        3,
    ],
)
def test_a_frame_that_no_sender_makes_is_refused(kind: object) -> None:
    text = json.dumps({"header": {}, "parts": [kind]}).encode()
    with pytest.raises(frames.TornFrameError):
        across(b"SPG1" + len(text).to_bytes(8, "big") + text + bytes(8))
    with pytest.raises(frames.TornFrameError):
        across(b"WARNING: a library wrote this")


def test_objects_are_not_sent() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(TypeError, match="does not hold numbers"):
        frames.send(near, {}, [np.array([object()])])


def test_a_worker_computes_and_what_it_prints_is_no_answer(script: Path) -> None:
    with start(script) as started:
        started.call("chat")
        answer = started.call("add", [np.arange(3.0), np.ones(3)], name="a")
        assert answer.settings == {"of": 2, "name": "a"}
        total, rest = answer.parts
        assert isinstance(total, np.ndarray)
        assert total.tolist() == [1, 2, 3]
        assert rest == b"bytes"
        assert answer.seconds < 10


def test_large_calls_cross_both_ways_at_once(script: Path) -> None:
    vector = np.random.default_rng(0).standard_normal(300_000)
    with start(script) as started:
        for _ in range(4):
            started.ask("add", [vector, vector])
        for _ in range(4):
            np.testing.assert_array_equal(started.answer().parts[0], 2 * vector)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("refuse", "the worker failed: ValueError: two lines; nothing"),
        ("die", "the worker died: exit code 7; last words; nothing"),
        ("nothing", "KeyError: 'nothing'"),
        ("sleep", "no answer for 0.3 seconds"),
    ],
)
def test_trouble_in_a_worker_is_one_line(script: Path, call: str, says: str) -> None:
    with start(script) as started:
        started.call("chat")
        with pytest.raises(WorkerError) as error:
            started.call(call, timeout=0.3 if call == "sleep" else 60)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_one_that_dies_is_told_while_another_is_awaited(script: Path) -> None:
    with start(script) as slow, Worker(Path(sys.executable), script, name="party 1") as dying:
        slow.ask("sleep")
        dying.ask("die")
        before = time.monotonic()
        with pytest.raises(WorkerError, match="party 1 died"):
            answers([slow, dying], timeout=30)
        assert time.monotonic() - before < 10


def test_a_script_that_does_not_import_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("import no_such_library")
    with start(tmp_path / "odd.py") as started, pytest.raises(WorkerError) as error:
        started.call("add")
    assert "did not start: ModuleNotFoundError: No module named 'no_such_library'" in str(
        error.value
    )


def test_a_worker_ends_with_its_parent_even_in_the_middle_of_a_call(script: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from seepage.crypto.environments.worker import Worker\n"
        f"w = Worker(Path(sys.executable), Path({str(script)!r}), name='w')\n"
        "print(w.call('pid').settings['pid'], flush=True); w.ask('sleep'); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_what_runs_on_the_other_side_needs_neither_seepage_nor_a_new_python() -> None:
    room = Path(frames.__file__).parents[1]
    others = [path for path in room.rglob("*.py") if "CALLS = " in path.read_text()]
    for path in (Path(frames.__file__), room / "environments" / "serve.py", *others):
        tree = ast.parse(path.read_text(), feature_version=(3, 10))
        libraries = {"frames", "numpy", "jax", *ENVIRONMENTS}
        for node in ast.walk(_without_type_checking(tree)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}"
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                sibling = path.with_name(f"{top}.py").exists()
                assert top in sys.stdlib_module_names | libraries or sibling, f"{path}: {name}"


def _without_type_checking(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return tree
