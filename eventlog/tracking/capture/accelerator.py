"""What computes: GPUs, and what PyTorch, where it is loaded, was built for."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from eventlog.tracking.capture import nvidia
from eventlog.tracking.capture.probe import answers, attempt


def tags() -> dict[str, str]:
    """``accelerator.*`` and ``torch.*``."""
    named = answers({"accelerator.visible": lambda: os.environ.get("CUDA_VISIBLE_DEVICES")})
    return _gpus(named.get("accelerator.visible")) | named | _torch()


@functools.lru_cache(maxsize=4)
def _gpus(visible: str | None) -> dict[str, str]:
    """As long as the same are visible they are the same."""
    return attempt("the GPUs", nvidia.tags) or {}


def _torch() -> dict[str, str]:
    """Of PyTorch nothing is asked that would start CUDA: that forbids a later fork."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return {}
    return answers(
        {
            "torch.version": lambda: torch.__version__,
            "torch.cuda": lambda: torch.version.cuda,
            "torch.hip": lambda: getattr(torch.version, "hip", None),
            "torch.mps": lambda: "true" if torch.backends.mps.is_available() else None,
        }
    )
