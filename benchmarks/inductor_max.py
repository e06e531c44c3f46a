"""Two faults of compiled half precision on a CPU, each in a few lines of PyTorch alone: does this machine have them?

    python benchmarks/inductor_max.py

Both gave NaN gradients in compiled bf16 training, behind a maximum; `edgeseg.training.compiled` works around both. The
first is g++'s: GCC 12.2 with -O3 and AVX-512 translates PyTorch's transposition of 32×32 half-precision numbers
(``transpose_mxn`` in ``vec512_bfloat16.h``) wrongly where a kernel needs it twice, and rightly with CXX="g++
-fno-tree-slp-vectorize". The second is Inductor's: the backward pass of ``amax`` looks for the rounded maximum among
numbers that it has computed again without rounding, finds none, and divides by how many it found; not with
TORCHINDUCTOR_EMULATE_PRECISION_CASTS=1.
"""

from __future__ import annotations

import subprocess

import torch
from torch import Tensor
from torch._inductor.cpp_builder import get_cpp_compiler
from torch.nn import functional as F


def add_transposed(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """One operand lies in rows and two in columns, so the kernel transposes tiles at two places."""
    return x + y.t() + z.t()


def largest(x: Tensor) -> Tensor:
    """Normalise, (N, C, H, W), and take each channel's maximum."""
    return F.batch_norm(x, None, None, training=True).amax((2, 3))


def transposition_is_wrong() -> bool:
    """Whether compiled code adds other numbers than eager code."""
    x = torch.randn(3, 64, 64).bfloat16()
    return not torch.allclose(torch.compile(add_transposed)(*x), add_transposed(*x), rtol=2**-6, atol=2**-6)


def maximum_is_lost() -> bool:
    """Whether the gradient of a maximum is NaN in compiled code."""
    x = torch.randn(2, 32, 8, 12).bfloat16().requires_grad_()
    torch.compile(largest)(x).sum().backward()
    assert x.grad is not None
    return bool(x.grad.isnan().any())


def main() -> None:
    """Print what is affected here."""
    version = subprocess.run([*get_cpp_compiler().split(), "--version"], capture_output=True, text=True, check=True)
    print(f"torch {torch.__version__}, {version.stdout.splitlines()[0]}, {torch.backends.cpu.get_cpu_capability()}")
    print("tiles of bf16 transposed wrongly:", "yes" if transposition_is_wrong() else "no")
    print("NaN behind a compiled amax in bf16:", "yes" if maximum_is_lost() else "no")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
