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
from PIL.Image import Image
from torch import Tensor, nn

from edgeseg.data.pairs import read_image
from edgeseg.models.layers import resize

if TYPE_CHECKING:
    from edgeseg.data.labels import ClassTable

M = TypeVar("M", bound=nn.Module)


class Segmenter(nn.Module):
    """A model together with its preprocessing, in eval mode.

    Args:
        model: logits from normalised RGB, see `edgeseg.models`. It keeps its mode, device and dtype: the segmenter has
            modules of its own, on the same weights in memory until it is moved.
        mean, std: of the RGB values in 0…1, as the model was trained.
        size: (H, W) that the network sees; ``None``: the image's own size.
        table: the classes, for names and colours.

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
    ) -> None:
        super().__init__()
        self.model = _own_modules(model)
        self.size = size
        self.table = table
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
        pixels = as_pixels(image)
        # one image in channels_last memory is the (H, W, 3) array itself
        x = torch.from_numpy(pixels).to(self.mean.device).permute(2, 0, 1)[None]
        if not flip:
            return self(x)[0].to(torch.uint8).cpu().numpy()
        mirrored = self.logits(x.flip(3)).flip(3).softmax(1)
        return (self.logits(x).softmax(1) + mirrored).argmax(1)[0].to(torch.uint8).cpu().numpy()


def _own_modules(model: M) -> M:
    """The same network with a mode and a device of its own; it shares the weights' memory until it is moved."""
    kept = (value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor))
    shared: dict[int, Tensor] = {id(tensor): tensor for tensor in (*kept, *model.buffers())}
    # parameters of its own on the same data: moving a module changes its parameters in place
    shared |= {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, shared)


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


def load_segmenter(model: str | Path | nn.Module, device: str | torch.device = "cpu") -> Segmenter:
    """A ready `Segmenter` from a weight's name, a weight file, or a model that `create_model` loaded with weights.

    Args:
        model: e.g. ``"cross_cbam_m.streets"``, ``"runs/mine/weights.safetensors"``, a model or a `Segmenter`; none is
            changed or moved.
        device: where to run.

    Raises:
        ValueError: a model whose preprocessing is unknown: wrap it in `Segmenter(model, mean, std)`.
    """
    from edgeseg.models.registry import create_model

    if isinstance(model, Segmenter):
        return model if model.mean.device == torch.device(device) else _own_modules(model).to(device)
    if isinstance(model, str | Path):
        model = create_model(str(model))
    meta: dict[str, Any] | None = getattr(model, "meta", None)
    if not meta:
        raise ValueError(
            "this model has no trained weights with preprocessing. Name a weight ('cross_cbam_m.streets'), give a "
            "weight file, or wrap your model: Segmenter(model, mean, std)"
        )
    size = tuple(meta["input_size"]) if meta.get("input_size") else None
    return Segmenter(model, meta["mean"], meta["std"], size, _table(meta)).to(device)


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
