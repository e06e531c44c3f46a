"""Networks to compare with, on the same backbones and with the same conventions."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from edgeseg.models.layers import FCNHead, check_input, init_weights, resize
from edgeseg.models.stdc import BACKBONES


class STDCFCN(nn.Module):
    """An FCN head on STDC's last map: the baseline of the Cross-CBAM paper's Table 4.

    The paper says no more than "FCN". Chosen here, after Long et al. (CVPR 2015) as segmentation libraries build it
    today: a 3×3 Conv-BN-ReLU to 256 channels, channel dropout, a 1×1 classifier, all at 1/32, and the auxiliary head on
    stage 4.

    Args:
        num_classes: classes.
        backbone: ``"stdc1"`` or ``"stdc2"``.
        aux: build the auxiliary head.
        dropout: channel dropout before the classifiers.
        width: the backbone's base width, 64 in the paper.

    Shape:
        As `edgeseg.models.cross_cbam.CrossCBAM`, but ``"out"`` is (N, classes, H/32, W/32) and ``"aux"`` holds at most
        one (N, classes, H/16, W/16).

    Raises:
        ValueError: an unknown backbone, or an input that is too small.
    """

    def __init__(
        self,
        num_classes: int = 19,
        backbone: str = "stdc1",
        aux: bool = True,
        dropout: float = 0.1,
        width: int = 64,
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"no backbone {backbone!r}; this baseline stands on {' or '.join(BACKBONES)}")
        self.num_classes = num_classes
        self.backbone = BACKBONES[backbone](width)
        _, c16, c32 = self.backbone.channels
        self.head = FCNHead(c32, c32 // 4, num_classes, dropout=dropout)
        self.aux_head = FCNHead(c16, 64, num_classes, dropout=dropout) if aux else None
        init_weights(self)

    def forward(self, x: Tensor) -> Any:
        check_input(x, self)
        _, f16, f32 = self.backbone(x)  # (N, 512, H/16, W/16), (N, 1024, H/32, W/32)
        logits = self.head(f32)  # (N, classes, H/32, W/32)
        if not self.training:
            return resize(logits, x.shape[-2:])  # (N, classes, H, W)
        aux = [] if self.aux_head is None else [self.aux_head(f16)]  # (N, classes, H/16, W/16)
        return {"out": logits, "aux": aux}
