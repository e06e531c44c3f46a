"""A weight file in parts, for ways that carry small files only: ``NAME.safetensors.1of3``, ``.2of3``, ``.3of3``.

Parts are plain slices of the file, so that ``cat NAME.safetensors.?of3 > NAME.safetensors`` joins them too. What was
joined is checked like any weight file: by its record's hash.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgeseg.download import atomic_write
from edgeseg.models.weights import WeightError

_PART = re.compile(r"\.(\d+)of(\d+)$")


def split_file(file: Path, most: int) -> list[Path]:
    """Replace a file by parts of at most `most` bytes; one that is small enough stays as it is.

    Returns:
        The parts in order, or the file alone.
    """
    blob = file.read_bytes()
    count = -(-len(blob) // most)
    if count <= 1:
        return [file]
    parts = [file.with_name(f"{file.name}.{i + 1}of{count}") for i in range(count)]
    for i, part in enumerate(parts):
        with atomic_write(part) as out:
            out.write(blob[i * most : (i + 1) * most])
    file.unlink()  # last: at no moment is there neither the file nor all its parts
    return parts


def joined(file: Path) -> bytes | None:
    """Content of a file that is here whole or in parts; ``None`` where there is neither.

    Raises:
        WeightError: a part is missing, or parts of two splittings lie side by side.
    """
    if file.is_file():
        return file.read_bytes()
    found: dict[int, Path] = {}
    counts = set()
    for path in file.parent.glob(f"{file.name}.*of*"):
        if match := _PART.search(path.name):
            found[int(match[1])] = path
            counts.add(int(match[2]))
    if not found:
        return None
    if len(counts) > 1 or sorted(found) != list(range(1, max(counts) + 1)):
        raise WeightError(
            f"{file}: here are the parts {', '.join(sorted(p.name for p in found.values()))}, which do not make it "
            "whole; copy all parts of one splitting, and no others, into one folder"
        )
    return b"".join(found[i].read_bytes() for i in sorted(found))
