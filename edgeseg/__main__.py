"""``python -m edgeseg``, which is also what torchrun starts."""

from edgeseg.cli import main

main()
