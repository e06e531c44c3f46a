"""What all tests share: one torch thread, and the CamVid copy where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # tests run beside each other; results do not depend on the number of threads either


@pytest.fixture(scope="module")
def no_flush() -> Iterator[None]:
    """Thousands of forced writes to the disk take most of the time of a test, and none of those here could tell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def camvid_root() -> Path:
    """The folder ``camvid_480x360`` under ``$EDGESEG_DATA``; skips where it is absent."""
    root = Path(os.environ.get("EDGESEG_DATA", "")) / "camvid_480x360"
    if not os.environ.get("EDGESEG_DATA") or not root.is_dir():
        pytest.skip("needs CamVid: set EDGESEG_DATA to the folder that holds camvid_480x360")
    return root
