"""What `import edgeseg` costs over `import torch`, in fresh processes, in turn; medians in seconds.

python benchmarks/import_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 7
STATEMENTS = {
    "import torch": "import torch",
    "import torch, edgeseg": "import torch, edgeseg",
    "… and use create_model": "import torch, edgeseg; edgeseg.create_model",
}


def main() -> None:
    """Time every statement in its own process, round by round."""
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for i in range(ROUNDS + 1):
        for name, code in STATEMENTS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            if i:  # the first round fills the disk's cache
                times[name].append(time.perf_counter() - started)
    base = statistics.median(times["import torch"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<26} {median:.2f} s   {median - base:+.2f} s over torch")


if __name__ == "__main__":
    main()
