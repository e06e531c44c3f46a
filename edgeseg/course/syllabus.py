"""The lessons as data: titles, what they take, their exercises. Tests hold notebooks, README and `progress` to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Entry:
    """One lesson.

    Args:
        slug: the rest of the notebook's name.
        title: as printed.
        minutes: to work through it, exercises included.
        compute: minutes of computing on two CPU cores, all cells together.
        memory: peak of the kernel, GB.
        needs: numbers of the lessons that come before.
        exercises: name of each, in order; exercise k of lesson 05 is ``"05.k"``.
    """

    slug: str
    title: str
    minutes: int
    compute: float
    memory: float
    needs: tuple[str, ...]
    exercises: tuple[str, ...]

    def facts(self) -> str:
        """The line under a lesson's title."""
        needs = f"lesson {', '.join(self.needs)}" if self.needs else "nothing"
        return (
            f"**{self.minutes} minutes to work through** · {self.compute:g} min of computing on two CPU cores · "
            f"{self.memory:g} GB of memory · data: rendered scenes, no download · needs {needs} · "
            f"{len(self.exercises)} exercises"
        )


SYLLABUS: Mapping[str, Entry] = MappingProxyType(
    {
        "00": Entry(
            *("first_segmentation", "Check your machine, first segmentation", 45, 0.3, 1.0, ()),
            ("To a tensor", "From logits to classes", "How sure", "Edges", "Frames per second"),
        ),
        "01": Entry(
            *("scenes_and_labels", "Street scenes and labels", 80, 0.2, 1.0, ()),
            ("Project a point", "Far to near", "Colours to ids", "Train ids", "Resize a label", "Shares and weights"),
        ),
        "02": Entry(
            *("what_miou_is", "What mIoU is", 60, 0.2, 1.1, ("01",)),
            (
                *("Confusion matrix", "Refuse what cannot be", "IoU of each class", "The mean, and the absent"),
                *("Micro IoU", "Per image, or over all"),
            ),
        ),
        "03": Entry(
            *("stdc", "The STDC backbone", 90, 0.2, 1.5, ()),
            (
                "Size after a convolution",
                "How far a chain sees",
                "The STDC module",
                "Parameters by formula",
                "The backbone",
            ),
        ),
        "04": Entry(
            *("se_aspp", "SE-ASPP", 90, 0.3, 1.0, ("03",)),
            (
                *("What a chain sees", "Padding that keeps the size", "Squeeze and excite"),
                *("SEASPP", "Multiply-adds of a convolution"),
            ),
        ),
        "05": Entry(
            *("ccbam", "CCBAM", 75, 0.2, 1, ("03", "04")),
            ("ChannelAttention", "SpatialAttention", "CCBAM", "Parameters by hand", "Who guides whom"),
        ),
        "06": Entry(
            *("cross_cbam", "Cross-CBAM whole", 80, 0.2, 1, ("03", "04", "05")),
            ("Where a factor fails", "Decoder", "CrossCBAM", "Parameters that nobody needs", "How much faster"),
        ),
        "07": Entry(
            *("losses_and_training", "Losses and the training loop", 100, 2, 1.2, ("02", "06")),
            ("Cross-entropy", "Focal loss", "Dice loss", "OHEM", "Learning rate", "Moving average"),
        ),
        "08": Entry(
            *("train_on_camvid", "Train on CamVid", 75, 2, 1.8, ("02", "07")),
            ("Read a log", "Mean and standard error", "Paired differences", "Resume exactly", "A flip, and back"),
        ),
        "09": Entry(
            *("hrnet", "HRNet", 90, 0.2, 1, ("03",)),
            (
                *("BasicBlock", "Path", "Find the bug: Exchange", "Transition", "Concatenated head"),
                "Judge: where to cut",
            ),
        ),
        "10": Entry(
            *("attention_bench", "The attention bench", 90, 1, 1.2, ("05", "09")),
            (
                *("SE", "ECA", "AAM", "Multiply-adds of AAM"),
                *("Judge: two gains of one network", "Choose and defend"),
            ),
        ),
        "11": Entry(
            *("bfem", "BFEM", 90, 0.3, 1.2, ("03", "09")),
            (
                *("Strips by hand", "MSCA", "Judge: serial or parallel", "Find the bug: MSCAN"),
                *("Judge: what the paper forgot", "BFEM"),
            ),
        ),
        "12": Entry(
            *("hrnet_s_m_l", "FUSM, CCSF, HRNet_S/M/L", 90, 0.4, 1, ("09", "10", "11")),
            (
                *("CCSF", "FUSM", "Find the bug: HRDecoder", "ImprovedHRNet", "Judge: Table V"),
                "Budget: a quarter of CCSF",
            ),
        ),
        "13": Entry(
            *("cityscapes_and_voc", "Cityscapes and VOC", 75, 0.8, 1, ("02", "08")),
            (
                *("Three means", "Judge: three points", "Find the bug: a scorer"),
                *("A split that does not leak", "Judge: beside VOC val"),
            ),
        ),
        "14": Entry(
            *("ablations", "Ablations", 90, 0.8, 1, ("07", "08")),
            (
                *("Find the bug: an analysis", "Seeds for half a point", "Budget: a plan of seeds"),
                *("Judge: who earned the six points", "Holm", "Verdicts"),
            ),
        ),
        "15": Entry(
            *("seeing", "Seeing what it sees", 90, 0.5, 1.2, ("05", "14")),
            (
                *("Heat map", "Find the bug: a sanity check", "Judge: Fig. 8", "Distance to the border"),
                *("Choose and defend: the worst frame", "Network or label"),
            ),
        ),
        "16": Entry(
            *("timing", "Timing honestly", 75, 1, 1.2, ("00", "06")),
            (
                *("Find the bug: the stopwatch", "A timer", "In turns", "Ratio and spread", "The least time"),
                "Judge: what does the log say",
            ),
        ),
        "17": Entry(
            *("runtimes_and_int8", "Other runtimes and INT8", 85, 2, 1.7, ("02", "16")),
            (
                *("Scale and zero point", "Find the bug: bright is black", "One step per channel"),
                *("A convolution in integers", "Class by class", "Choose what to ship"),
            ),
        ),
        "18": Entry(
            *("tensorrt", "Torch-TensorRT", 70, 0.6, 1.2, ("06", "17")),
            ("Types in a graph", "A call that refuses", "How many engines", "Find what splits", "What to ship"),
        ),
        "19": Entry(
            *("live", "On a Jetson, live", 75, 0.6, 1, ("16", "17")),
            (
                *("What delay costs", "Queue or newest", "Find the bug: Newest", "Budget: fewest threads"),
                "Judge: what the lines say",
            ),
        ),
        "20": Entry(
            *("own_classes", "Your own two classes", 90, 1.5, 1.4, ("13", "16", "17", "19")),
            (
                *("A class file", "Outlines to a label", "A split by place", "Nobody overlooked"),
                *("Judge: twenty photographs", "What is still open"),
            ),
        ),
    }
)
