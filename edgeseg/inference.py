"""From an image to a class map, preprocessing included.

`Segmenter` is the graph that prediction, evaluation, live demos, benchmarks and deployment all go through: uint8 pixels
in, class ids out, at the image's own size. Normalisation, resizing and argmax are inside, so nothing can differ between
them. `as_pixels` is the one way from a file, a PIL image or an array to those pixels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from PIL.Image import Image, Resampling, fromarray
from torch import Tensor, nn

from edgeseg.data.pairs import read_image
from edgeseg.machine import usable_device
from edgeseg.models.layers import resize

if TYPE_CHECKING:
    from edgeseg.data.labels import ClassTable

M = TypeVar("M", bound=nn.Module)

FAR_LARGER = 2.0
"""How many times the sides of the training images a picture is worth seeing at: `fitting_size` shrinks larger ones."""
# Smallest to largest of 16 pictures (benchmarks/depth.py), cross_cbam_m.streets: 0.89 to 0.96 on streets test, 0.80 to
# 0.94 at night, which it has not learnt, 0.74 to 0.88 on CamVid; cross_cbam_m.camvid: 0.88 to 0.93 on CamVid test, 0.79
# to 0.92 on streets, 0.66 to 0.83 at night. No picture of their own kind is below. It is a hint and no proof: noise has
# 0.82 to 0.86 with the first (0.71 to 0.76 with the second), even colours anything up to 1.
OUT_OF_DEPTH = 0.8
"""Mean of the largest probability below which a picture is probably none of the kind that the network learnt."""


class Segmenter(nn.Module):
    """A model together with its preprocessing, in eval mode.

    Args:
        model: logits from normalised RGB, see `edgeseg.models`. It keeps its mode, device and dtype: the segmenter has
            modules of its own, on the same weights in memory until it is moved.
        mean, std: of the RGB values in 0…1, as the model was trained.
        size: (H, W) that the network sees; ``None``: the image's own size. Plain bilinear sampling inside the graph,
            without smoothing where it shrinks: as the finished weights' scores were measured. `predict_surely`'s size,
            and who feeds an artefact, shrink the picture itself, with smoothing.
        table: the classes, for names and colours.
        trained_at: (H, W) of the images that it learnt from, where that is known.

    Shapes:
        (N, 3, H, W) uint8 RGB → (N, H, W) int32 class ids.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        size: tuple[int, int] | None = None,
        table: ClassTable | None = None,
        trained_at: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.model = _own_modules(model)
        self.size = size
        self.table = table
        self.trained_at = trained_at
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)
        self.eval()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Segmenter:
        """Moves with the model, and stays float32 when the model becomes half: bfloat16 would round the mean."""
        mean, std = self.mean, self.std
        super()._apply(fn, recurse)
        self.mean, self.std = mean.to(self.mean.device), std.to(self.std.device)
        return self

    def normalise(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 RGB → what the network sees: (N, 3, h, w) float32, of `size` where that is given."""
        x = (images.to(self.mean.dtype) - self.mean) / self.std
        return x if self.size is None or tuple(self.size) == tuple(x.shape[2:]) else resize(x, self.size)

    def logits(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 RGB → (N, classes, H, W) float logits at the image's own size."""
        x, own_size = self.normalise(images), images.shape[2:]
        logits = self.model(x.to(self._dtype()))
        return logits if x.shape[2:] == own_size else resize(logits, own_size)

    def reference(self, device: str | torch.device = "cpu") -> Segmenter:
        """The same on a device, in float32 and eval mode; shares the weights' memory where they are so already."""
        return _own_modules(self).to(device).float().eval()

    def _dtype(self) -> torch.dtype:
        """What the network computes in."""
        return next((p.dtype for p in self.model.parameters()), self.mean.dtype)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 RGB → (N, H, W) int32 class ids."""
        return self.logits(images).argmax(1).to(torch.int32)

    @torch.inference_mode()
    def predict(self, image: str | Path | Image | np.ndarray, flip: bool = False) -> np.ndarray:
        """Segment one image.

        Args:
            image: what `as_pixels` takes.
            flip: average the probabilities with those of the mirrored image: slower, a little better.

        Returns:
            (H, W) uint8 class ids, at the image's own size.
        """
        x = self._batch(as_pixels(image))
        if not flip:
            return self(x)[0].to(torch.uint8).cpu().numpy()
        return both_ways(self.logits, x).argmax(1)[0].to(torch.uint8).cpu().numpy()

    @torch.inference_mode()
    def predict_surely(
        self, image: str | Path | Image | np.ndarray, flip: bool = False, size: tuple[int, int] | None = None
    ) -> tuple[np.ndarray, float]:
        """Segment one image, and tell how sure the network is.

        Args:
            image, flip: as in `predict`.
            size: (H, W) that the image is brought to first, which is what the network sees of it unless the segmenter
                has a `size` of its own. Shrinking averages pixels, so that nothing small flickers.

        Returns:
            (H, W) uint8 class ids at the image's own size; and the mean over its pixels of the largest probability,
            1 / C…1. See `OUT_OF_DEPTH`.
        """
        pixels = as_pixels(image)
        if size is None or size == pixels.shape[:2]:
            seen = pixels
        else:
            seen = np.asarray(fromarray(pixels).resize(size[::-1], Resampling.BILINEAR)).copy()
        x = self._batch(seen)
        scores = both_ways(self.logits, x) / 2 if flip else self.logits(x)
        sure = float((scores if flip else scores.softmax(1)).amax(1).float().mean())
        if seen is not pixels:
            scores = resize(scores, pixels.shape[:2])
        return scores.argmax(1)[0].to(torch.uint8).cpu().numpy(), sure

    def _batch(self, pixels: np.ndarray) -> Tensor:
        """(H, W, 3) → (1, 3, H, W) on the segmenter's device: in channels_last memory it is the array itself."""
        return torch.from_numpy(pixels).to(self.mean.device).permute(2, 0, 1)[None]


def both_ways(logits: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The sum of the probabilities of images and of their mirror images.

    Args:
        logits: (N, 3, H, W) → (N, C, H, W), as `Segmenter.logits`.
        images: (N, 3, H, W).

    Returns:
        (N, C, H, W), 0…2.
    """
    mirrored = logits(images.flip(3)).flip(3).softmax(1)
    return logits(images).softmax(1) + mirrored


@torch.inference_mode(False)
def _own_modules(model: M) -> M:
    """The same network with a mode and a device of its own; it shares the weights' memory until it is moved.

    But for weights that were made in inference mode, which nothing outside of it may use: these are copied.
    """
    kept = (value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor))
    shared: dict[int, Tensor] = {id(tensor): _usable(tensor) for tensor in (*kept, *model.buffers())}
    # parameters of its own on the same data: moving a module changes its parameters in place
    shared |= {id(p): nn.Parameter(_usable(p).detach(), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, shared)


def _usable(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.is_inference() else tensor


def as_pixels(image: str | Path | Image | np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a picture, whichever way it comes; neither file, PIL image nor array is changed.

    Args:
        image: a file or a PIL image, of any kind that `edgeseg.data.pairs` lists, turned as its EXIF orientation says;
            or an (H, W, 3) uint8 array, upright, in the order red, green, blue (OpenCV's are the other way round:
            ``image[:, :, ::-1]``).

    Raises:
        TypeError, ValueError: another type, shape or dtype; says what is expected. `DataError`, a ValueError: a picture
            that cannot be read; names the file.
    """
    if isinstance(image, str | Path | Image):
        image = read_image(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image is a path, a PIL image or an (H, W, 3) uint8 array, not {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"the image array is {image.dtype} {image.shape}; give (H, W, 3) uint8 RGB. From grey or RGBA of 8 bits: "
            "PIL.Image.fromarray(image); from (3, H, W): image.transpose(1, 2, 0); from 0…1: "
            "(image * 255).round().astype(numpy.uint8)"
        )
    return np.require(image, requirements=("C", "W", "E"))  # torch takes no negative strides, and warns of read-only


def find_model(name: str | Path) -> str:
    """A model's name as the other functions take it: a run's folder becomes the weight file in it.

    Args:
        name: a weight's or an architecture's name, a weight file, the folder of a run or of an artefact.

    Raises:
        ValueError: a folder that is neither; says what either holds.
    """
    from edgeseg.models.registry import list_models

    folder = Path(name)
    if not folder.is_dir() or (folder / "artefact.json").is_file():
        return str(name)
    if (folder / "weights.safetensors").is_file():
        return str(folder / "weights.safetensors")
    if str(name) in list_models():
        return str(name)
    if (folder / "checkpoint.safetensors").is_file():
        raise ValueError(
            f"{name}: a run that has not ended, it has no weights yet. Go on with it: --resume --out {name}"
        )
    raise ValueError(
        f"{name}: neither the folder of a run (with weights.safetensors in it, from edgeseg train) nor of an artefact "
        "(with artefact.json in it, from edgeseg export). Give one of them, a weight file, or a weight's name"
    )


def fitting_size(picture: tuple[int, int], trained_at: tuple[int, int] | None) -> tuple[int, int] | None:
    """What a network should see of a picture far larger than those it learnt from.

    Things in it would be larger than any that the network has seen; training zooms to about `FAR_LARGER` times. The
    streets weight on test scenes drawn 3 times as large (``benchmarks/depth.py``): 67.8 % mIoU as they are, 66.4 at the
    size of its training images, 72.8 at twice that; drawn 4 times as large: 61.1, 66.2, 72.5.

    Args:
        picture: (H, W).
        trained_at: (H, W) of the training images; ``None``: not known.

    Returns:
        (H, W) at most `FAR_LARGER` times the training images', with the picture's aspect, or ``None``: as it is.
    """
    if trained_at is None:
        return None
    factor = ((picture[0] * picture[1]) / (trained_at[0] * trained_at[1])) ** 0.5 / FAR_LARGER
    if factor <= 1:
        return None
    return max(32, round(picture[0] / factor)), max(32, round(picture[1] / factor))


def load_segmenter(model: str | Path | nn.Module, device: str | torch.device = "cpu") -> Segmenter:
    """A ready `Segmenter` from a weight's name, a weight file, or a model that `create_model` loaded with weights.

    Args:
        model: e.g. ``"cross_cbam_m.streets"``, ``"runs/mine/weights.safetensors"``, the run's folder ``"runs/mine"``, a
            model or a `Segmenter`; none is changed or moved.
        device: where to run.

    Raises:
        ValueError: a model whose preprocessing is unknown: wrap it in `Segmenter(model, mean, std)`; an artefact's
            folder; a device that there is not.
    """
    from edgeseg.models.registry import create_model

    device = usable_device(device)
    if isinstance(model, Segmenter):
        return model if model.mean.device == device else _own_modules(model).to(device)
    name = ""
    if isinstance(model, str | Path):
        name = find_model(model)
        if (Path(name) / "artefact.json").is_file():
            raise ValueError(f"{name}: an artefact, which is compiled; give the weight that it was made from")
        model = create_model(name)
    meta: dict[str, Any] | None = getattr(model, "meta", None)
    if not meta:
        raise ValueError(
            "this model has no trained weights with preprocessing. Name a weight ('cross_cbam_m.streets'), give a "
            "weight file, or wrap your model: Segmenter(model, mean, std)"
        )
    size = tuple(meta["input_size"]) if meta.get("input_size") else None
    return Segmenter(model, meta["mean"], meta["std"], size, _table(meta), _trained_at(meta, name)).to(device)


def _trained_at(meta: dict[str, Any], name: str) -> tuple[int, int] | None:
    """The size of the training images, by the file; or that of its score's images, by the record of a named weight."""
    from edgeseg.models.zoo import get_record, list_weights

    size = meta.get("provenance", {}).get("trained_at")
    if size is None and name and not name.endswith(".safetensors") and name in list_weights():
        size = get_record(name).metric.get("size")
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) else None


def _table(meta: dict[str, Any]) -> ClassTable:
    from edgeseg.data.labels import ClassTable

    names, colors = zip(*[(c["name"], tuple(c["color"])) for c in meta["classes"]], strict=True)
    return ClassTable(meta["table"], names, colors)


def predict(model: str | Path | nn.Module, image: str | Path | Image | np.ndarray, flip: bool = False) -> np.ndarray:
    """Segment one image.

    Args:
        model: a weight's name (``"cross_cbam_m.streets"``), a weight file, a loaded model or a `Segmenter`.
        image: a file, a PIL image, or (H, W, 3) uint8 RGB; see `as_pixels`.
        flip: average with the mirrored image.

    Returns:
        (H, W) uint8 class ids at the image's own size; 255 is never predicted.
    """
    if isinstance(model, Segmenter):
        return model.predict(image, flip)
    device = next(model.parameters()).device if isinstance(model, nn.Module) else "cpu"
    return load_segmenter(model, device).predict(image, flip)
