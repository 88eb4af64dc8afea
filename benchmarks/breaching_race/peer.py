"""Starts breaching's worker in its own environment and speaks to it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

HOW_TO = """\
breaching needs an environment of its own:

    python3 -m venv PEER
    PEER/bin/pip install torch==2.13.0
    PEER/bin/pip install --no-deps breaching==0.1.2
    PEER/bin/pip install hydra-core omegaconf scipy numpy pandas

then pass --peer-python PEER/bin/python. torchvision and lpips, which breaching asks for,
are not needed: a stub of torchvision is put on its path for the imports."""

# breaching names torchvision when it is imported, for data sets and models that are not used here.
_STUB = '''\
"""Stands in for torchvision, so that modules that name it can be imported."""
import sys
import types


class Absent:
    pass


def _module(name):
    def missing(key):
        if key.startswith("__"):
            raise AttributeError(key)
        return Absent

    module = types.ModuleType(name)
    module.__path__ = []
    module.__getattr__ = missing
    sys.modules[name] = module
    return module


models, datasets, transforms = (
    _module("torchvision." + part) for part in ("models", "datasets", "transforms")
)
models.densenet = _module("torchvision.models.densenet")
datasets.utils = _module("torchvision.datasets.utils")
'''


class PeerError(Exception):
    """What the peer, or its environment, could not do."""


class Peer:
    """One worker process; it sleeps while it is not asked."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._folder = folder
        stub = folder / "stub" / "torchvision"
        stub.mkdir(parents=True, exist_ok=True)
        (stub / "__init__.py").write_text(_STUB)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        worker = Path(__file__).with_name("worker.py")
        try:
            self._process = subprocess.Popen(
                [str(python), str(worker)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(folder / "peer.log").open("w"),
                text=True,
                env={**os.environ, **threads, "PYTHONPATH": str(stub.parent)},
            )
        except OSError as error:
            raise PeerError(f"{python} does not start: {error}\n\n{HOW_TO}") from error

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Return the worker's answer; raise `PeerError` where it has none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({"do": do, **request}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            tail = (self._folder / "peer.log").read_text()[-2000:]
            raise PeerError(f"the peer's worker ended:\n{tail}\n\n{HOW_TO}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def versions(self) -> dict[str, str]:
        """Return what runs there; say how to get it where it is missing."""
        try:
            return self.ask("versions")
        except PeerError as error:
            raise PeerError(f"breaching can't be imported: {error}\n\n{HOW_TO}") from error

    def job(self, model: nn.Module, **arrays: Any) -> str:
        """Write a model's state beside `arrays` and return the file's name."""
        state = {f"state/{k}": v.numpy() for k, v in model.state_dict().items()}
        path = self._folder / "job.npz"
        np.savez(path, **state, **arrays)
        return str(path)

    def arrays(self, do: str, **request: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the worker's answer and the arrays that came with it."""
        path = self._folder / "answer.npz"
        answer = self.ask(do, out=str(path), **request)
        with np.load(path) as found:
            return answer, dict(found)

    def close(self) -> None:
        """Let the worker end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=30)


def numbered(gradients: list[Tensor]) -> dict[str, Any]:
    """Return gradients as arrays of a job, by their places."""
    return {f"gradient/{i}": g.numpy() for i, g in enumerate(gradients)}
