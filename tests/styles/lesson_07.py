"""Lesson 07 in other styles."""

from styles import Slip, Style

_CE = """
class CrossEntropy(Loss):
    def __init__(self, weight=None, stride=1):
        super().__init__(stride)
        self.register_buffer("weight", weight, persistent=False)

"""
_FOCAL = """
class Focal(Loss):
    def __init__(self, gamma=2.0, stride=1):
        super().__init__(stride)
        self.gamma = gamma

"""
_DICE = """
class Dice(Loss):
    def __init__(self, smooth=1.0, stride=1):
        super().__init__(stride)
        self.smooth = smooth

"""
_OHEM = """
class OHEM(Loss):
    def __init__(self, threshold=0.7, keep=1 / 16, stride=1):
        super().__init__(stride)
        self.threshold, self.keep = threshold, keep

"""

STYLES = {
    "07.1": [
        Style(
            "one-hot product",
            _CE
            + """
    def pixel_terms(self, logits, target):
        valid = target != VOID
        classes = logits.shape[1]
        truth = F.one_hot(target.clamp(max=classes - 1), classes).permute(0, 3, 1, 2)
        truth = truth * valid[:, None]
        if self.weight is not None:
            truth = truth * self.weight.view(1, -1, 1, 1)
        loss = -(truth * torch.log_softmax(logits, 1)).sum()
        return loss, truth.to(logits.dtype).sum()
""",
            Slip("wrong sign", "loss = -(truth", "loss = (truth", names=("other sign",)),
            Slip(
                "void counts",
                "truth = truth * valid[:, None]",
                "truth = truth * 1",
                names=("void pixels count, as pixels of",),
            ),
            Slip("softmax over the rows", "torch.log_softmax(logits, 1)", "torch.log_softmax(logits, 2)"),
        ),
        Style(
            "logsumexp",
            _CE
            + """
    def pixel_terms(self, logits, target):
        void = target == VOID
        safe = torch.where(void, 0, target)
        own = torch.gather(logits, 1, safe.unsqueeze(1)).squeeze(1)
        pixel = torch.logsumexp(logits, 1) - own
        w = torch.ones_like(pixel) if self.weight is None else self.weight[safe]
        w = w.masked_fill(void, 0)
        return (w * pixel).sum(), w.sum()
""",
            Slip("wrong sign", "torch.logsumexp(logits, 1) - own", "own - torch.logsumexp(logits, 1)"),
            Slip("logs forgotten", "torch.logsumexp(logits, 1)", "logits.exp().sum(1)"),
            Slip("pixels counted, not weights", "w.sum()", "(~void).sum()", names=("the sum is divided by the",)),
        ),
        Style(
            "PyTorch's nll_loss",
            _CE
            + """
    def pixel_terms(self, logits, target):
        log_p = F.log_softmax(logits, dim=1)
        total = F.nll_loss(log_p, target, weight=self.weight, ignore_index=VOID, reduction="sum")
        known = target[target != VOID]
        if self.weight is None:
            return total, torch.tensor(float(len(known)), dtype=logits.dtype)
        return total, self.weight[known].sum()
""",
            Slip("mean for sum", 'reduction="sum")', 'reduction="mean")'),
            Slip("weights forgotten", "weight=self.weight, ", ""),
            Slip("softmax without log", "F.log_softmax(logits, dim=1)", "F.softmax(logits, dim=1)"),
        ),
        Style(
            "class by class",
            _CE
            + """
    def pixel_terms(self, logits, target):
        log_p = logits.log_softmax(1)
        total = torch.zeros((), dtype=logits.dtype)
        count = torch.zeros((), dtype=logits.dtype)
        for c in range(logits.shape[1]):
            w = 1.0 if self.weight is None else self.weight[c]
            here = target == c
            total = total - w * log_p[:, c][here].sum()
            count = count + w * here.sum()
        return total, count
""",
            Slip("wrong sign", "total = total - w", "total = total + w", names=("other sign",)),
            Slip("one class left out", "range(logits.shape[1])", "range(1, logits.shape[1])"),
            Slip(
                "weight not counted",
                "count + w * here.sum()",
                "count + here.sum()",
                names=("the sum is divided by the",),
            ),
        ),
        Style(
            "boolean indexing",
            _CE
            + """
    def pixel_terms(self, logits, target):
        valid = target != VOID
        scores = logits.permute(0, 2, 3, 1)[valid]
        truth = target[valid]
        log_p = scores.log_softmax(-1)[torch.arange(len(truth)), truth]
        w = torch.ones_like(log_p) if self.weight is None else self.weight[truth]
        return -(log_p * w).sum(), w.sum()
""",
            Slip(
                "permuted wrongly", "logits.permute(0, 2, 3, 1)", "logits.permute(0, 3, 2, 1).transpose(1, 2).flip(3)"
            ),
            Slip("exp of log", "scores.log_softmax(-1)", "scores.softmax(-1)"),
            Slip("sum over all weights", "w.sum()", "w.mean()"),
        ),
    ],
    "07.2": [
        Style(
            "softmax, gather",
            _FOCAL
            + """
    def pixel_terms(self, logits, target):
        valid = target != VOID
        safe = target * valid
        p = logits.softmax(1).gather(1, safe[:, None]).squeeze(1)
        each = (1 - p).pow(self.gamma) * -p.log()
        return (each * valid).sum(), valid.sum()
""",
            Slip("plain p", "(1 - p).pow", "p.pow"),
            Slip("sign", "* -p.log()", "* p.log()", names=("other sign",)),
            Slip("void counted", "(each * valid).sum()", "each.sum()", names=("void pixels are in the sum",)),
        ),
        Style(
            "loss, then factor",
            _FOCAL
            + """
    def pixel_terms(self, logits, target):
        ce = F.cross_entropy(logits, target, reduction="none", ignore_index=VOID)
        easy = (-ce).exp()
        factor = (1 - easy) ** self.gamma
        total = torch.sum(factor * ce)
        n = torch.count_nonzero(target != VOID)
        return total, n
""",
            Slip("exp of the loss", "(-ce).exp()", "ce.exp()"),
            Slip("gamma as a factor", "** self.gamma", "* self.gamma"),
            Slip("mean", "torch.sum(factor * ce)", "torch.mean(factor * ce)"),
        ),
        Style(
            "log space",
            _FOCAL
            + """
    def pixel_terms(self, logits, target):
        log_p = F.log_softmax(logits, 1)
        inside = (target != VOID)
        picked = log_p.gather(1, target.masked_fill(~inside, 0).unsqueeze(1))[:, 0]
        hard = 1 - torch.exp(picked)
        value = -hard ** self.gamma * picked
        value = value[inside]
        return value.sum(), inside.sum()
""",
            Slip("sign", "-hard ** self.gamma", "hard ** self.gamma", names=("other sign",)),
            Slip("gamma fixed", "self.gamma * picked", "2 * picked"),
            Slip(
                "factor alone",
                "-hard ** self.gamma * picked",
                "hard ** self.gamma",
                names=("the fading (1 - p)^γ stands",),
            ),
        ),
        Style(
            "boolean indexing",
            _FOCAL
            + """
    def pixel_terms(self, logits, target):
        keep = target.ne(VOID)
        flat = logits.movedim(1, -1)[keep]
        loss = F.cross_entropy(flat, target[keep], reduction="none")
        q = 1 - torch.exp(-loss)
        return (q ** self.gamma * loss).sum(), keep.sum()
""",
            Slip("one forgotten", "q = 1 - torch.exp(-loss)", "q = torch.exp(-loss)"),
            Slip("squared loss", "self.gamma * loss)", "self.gamma * loss * loss)"),
        ),
    ],
    "07.3": [
        Style(
            "class by class",
            _DICE
            + """
    def pixel_terms(self, logits, target):
        p = logits.softmax(1)
        valid = target != VOID
        losses = []
        for c in range(logits.shape[1]):
            t = (target == c)
            if t.any():
                pc = p[:, c] * valid
                losses.append(1 - (2 * (pc * t).sum() + self.smooth) / (pc.sum() + t.sum() + self.smooth))
        return sum(losses), torch.tensor(len(losses))
""",
            Slip("void in p", "pc = p[:, c] * valid", "pc = p[:, c]", names=("the probabilities of void pixels are",)),
            Slip("2 forgotten", "(2 * (pc * t).sum()", "((pc * t).sum()", names=("mul",)),
            Slip("one for s", "+ t.sum() + self.smooth)", "+ t.sum() + 1)"),
        ),
        Style(
            "one-hot, einsum",
            _DICE
            + """
    def pixel_terms(self, logits, target):
        n = logits.shape[1]
        valid = (target != VOID).to(logits.dtype)
        t = F.one_hot(target.clamp(max=n - 1), n).to(logits.dtype) * valid.unsqueeze(-1)
        p = logits.softmax(1) * valid.unsqueeze(1)
        both = torch.einsum("nchw,nhwc->c", p, t)
        of_p = torch.einsum("nchw->c", p)
        of_t = torch.einsum("nhwc->c", t)
        score = (2 * both + self.smooth) / (of_p + of_t + self.smooth)
        there = of_t > 0
        return (1 - score)[there].sum(), there.sum()
""",
            Slip("likeness", "(1 - score)[there]", "score[there]"),
            Slip("absent too", "(1 - score)[there].sum()", "(1 - score).sum()"),
            Slip("truth twice", "(of_p + of_t + self.smooth)", "(of_t + of_t + self.smooth)"),
        ),
        Style(
            "flattened first",
            _DICE
            + """
    def pixel_terms(self, logits, target):
        p = logits.softmax(1).movedim(1, 0).flatten(1)
        flat = target.flatten()
        valid = flat != VOID
        p, flat = p[:, valid], flat[valid]
        t = (flat[None] == torch.arange(len(p))[:, None]).to(p.dtype)
        above = 2 * (p * t).sum(1) + self.smooth
        below = p.sum(1) + t.sum(1) + self.smooth
        present = t.sum(1) > 0
        return (1 - above / below)[present].sum(), present.sum()
""",
            Slip("softmax of the wrong axis", "logits.softmax(1)", "logits.softmax(3)"),
            Slip("squares below", "below = p.sum(1)", "below = (p * p).sum(1)"),
            Slip(
                "smooth above only",
                "t.sum(1) + self.smooth\n        present",
                "t.sum(1)\n        present",
                names=(
                    "add",
                    "smooth is added above and not",
                ),
            ),
        ),
        Style(
            "sums by hand",
            _DICE
            + """
    def pixel_terms(self, logits, target):
        e = torch.exp(logits - logits.amax(1, keepdim=True))
        p = e / e.sum(1, keepdim=True)
        m = (target != VOID)[:, None]
        ids = torch.arange(p.shape[1]).reshape(1, -1, 1, 1)
        t = (target[:, None] == ids) & m
        inter = (p * t).sum(dim=(0, 2, 3))
        denom = (p * m).sum(dim=(0, 2, 3)) + t.sum(dim=(0, 2, 3))
        loss = 1 - (2 * inter + self.smooth) / (denom + self.smooth)
        real = t.flatten(2).any(2).any(0)
        return loss[real].sum(), real.sum()
""",
            Slip(
                "each image by itself", "inter = (p * t).sum(dim=(0, 2, 3))", "inter = (p * t).sum(dim=(2, 3)).mean(0)"
            ),
            Slip("not normalised", "p = e / e.sum(1, keepdim=True)", "p = e"),
            Slip("mean, and its count", "loss[real].sum()", "loss[real].mean()"),
        ),
    ],
    "07.4": [
        Style(
            "image by image",
            _OHEM
            + """
    def pixel_terms(self, logits, target):
        loss = F.cross_entropy(logits, target, ignore_index=VOID, reduction="none")
        kept = self.kept(loss.detach(), target)
        return loss[kept].sum(), kept.sum()

    def kept(self, pixel, target):
        result = torch.zeros_like(target, dtype=torch.bool)
        for i in range(len(target)):
            valid = target[i] != VOID
            k = math.ceil(self.keep * int(valid.sum()))
            if k == 0:
                continue
            kth = pixel[i][valid].topk(k).values[-1]
            bar = min(float(kth), -math.log(self.threshold))
            result[i] = valid & (pixel[i] >= bar)
        return result
""",
            Slip(
                "rounded down", "math.ceil(self.keep", "math.floor(self.keep", names=("the number of pixels kept is",)
            ),
            Slip("the higher bar", "min(float(kth)", "max(float(kth)", names=("the higher of the two bars",)),
            Slip(
                "threshold as a loss",
                "-math.log(self.threshold))",
                "self.threshold)",
                names=("losses are compared with the threshold",),
            ),
            Slip("strictly above", "pixel[i] >= bar", "pixel[i] > bar", names=("a pixel at the bar itself",)),
            Slip("share of all pixels", "int(valid.sum())", "valid.numel()"),
        ),
        Style(
            "kthvalue",
            _OHEM
            + """
    def pixel_terms(self, logits, target):
        loss = F.cross_entropy(logits, target, ignore_index=VOID, reduction="none")
        mask = self.kept(loss.detach(), target).to(loss.dtype)
        return (loss * mask).sum(), mask.sum()

    def kept(self, pixel, target):
        masks = []
        for losses, labels in zip(pixel, target):
            valid = labels != VOID
            values = losses[valid]
            hard = losses >= -math.log(self.threshold)
            k = math.ceil(self.keep * len(values))
            if (hard & valid).sum() < k:
                hard = losses >= values.kthvalue(len(values) - k + 1).values
            masks.append(hard & valid)
        return torch.stack(masks)
""",
            Slip(
                "k-th smallest",
                "values.kthvalue(len(values) - k + 1)",
                "values.kthvalue(k)",
                names=("the bar is the k-th smallest",),
            ),
            Slip("void kept", "masks.append(hard & valid)", "masks.append(hard)"),
            Slip("one k too many", "len(values) - k + 1", "len(values) - k", names=("one pixel too many is kept",)),
            Slip(
                "exp for log",
                "-math.log(self.threshold)",
                "math.exp(-self.threshold)",
                names=("the threshold becomes a loss by",),
            ),
        ),
        Style(
            "sorting all at once",
            _OHEM
            + """
    def pixel_terms(self, logits, target):
        ce = F.cross_entropy(logits, target, ignore_index=VOID, reduction="none")
        use = self.kept(ce.detach(), target)
        return torch.where(use, ce, torch.zeros_like(ce)).sum(), use.sum()

    def kept(self, pixel, target):
        valid = target != VOID
        flat = torch.where(valid, pixel, torch.full_like(pixel, -1.0)).reshape(len(pixel), -1)
        ordered = torch.sort(flat, dim=1, descending=True)[0]
        k = torch.ceil(self.keep * valid.reshape(len(pixel), -1).sum(1)).long()
        kth = ordered[torch.arange(len(pixel)), (k - 1).clamp(min=0)]
        limit = torch.full_like(kth, -math.log(self.threshold))
        bar = torch.minimum(kth, limit)
        return (pixel >= bar.reshape(-1, 1, 1)) & valid
""",
            Slip("upwards", "descending=True)[0]", "descending=False)[0]"),
            Slip(
                "maximum",
                "torch.minimum(kth, limit)",
                "torch.maximum(kth, limit)",
                names=("the higher of the two bars",),
            ),
            Slip(
                "k for k - 1",
                "(k - 1).clamp(min=0)",
                "k.clamp(max=ordered.shape[1] - 1)",
                names=("one pixel too many is kept",),
            ),
            Slip(
                "limit twice as high",
                "-math.log(self.threshold))\n        bar",
                "-2 * math.log(self.threshold))\n        bar",
            ),
        ),
    ],
    "07.5": [
        Style(
            "early return",
            """
def learning_rate(recipe, step, progress):
    left = max(0.0, 1 - progress)
    if recipe.schedule == "poly":
        f = left ** recipe.power
    else:
        f = (1 + math.cos(math.pi * (1 - left))) / 2
    lr = f * recipe.lr + (1 - f) * recipe.min_lr
    if step < recipe.warmup:
        return lr * (step + 1) / recipe.warmup
    return lr
""",
            Slip("one step longer", "if step < recipe.warmup", "if step <= recipe.warmup"),
            Slip("half the wave", ") / 2", ")"),
        ),
        Style(
            "a dict of shapes",
            """
def learning_rate(recipe, step, progress):
    t = min(1, progress)
    shape = {"poly": (1 - t) ** recipe.power, "cosine": 0.5 + 0.5 * math.cos(math.pi * t)}[recipe.schedule]
    value = recipe.min_lr + shape * (recipe.lr - recipe.min_lr)
    warm = 1 if not recipe.warmup else min(1, (step + 1) / recipe.warmup)
    return warm * value
""",
            Slip(
                "min_lr on top",
                "shape * (recipe.lr - recipe.min_lr)",
                "shape * recipe.lr",
                names=("min_lr is added on top",),
            ),
            Slip("from 0", "(step + 1) / recipe.warmup", "step / recipe.warmup"),
        ),
        Style(
            "numpy's clip",
            """
import numpy as np

def learning_rate(recipe, step, progress):
    progress = np.clip(progress, 0, 1)
    if recipe.schedule == "cosine":
        share = np.cos(np.pi * progress / 2) ** 2
    else:
        share = np.power(1 - progress, recipe.power)
    rate = (recipe.lr - recipe.min_lr) * share + recipe.min_lr
    return float(rate * np.clip((step + 1) / max(recipe.warmup, 1), 0, 1))
""",
            Slip("not squared", ") ** 2", ")"),
            Slip(
                "power of the progress",
                "np.power(1 - progress, recipe.power)",
                "1 - np.power(progress, recipe.power)",
                names=("the power is of the progress",),
            ),
        ),
    ],
    "07.6": [
        Style(
            "lerp, no_grad as a decorator",
            """
@torch.no_grad()
def ema_update(average, model, step, decay):
    r = min((1 + step) / (10 + step), decay)
    for a, m in zip(average.parameters(), model.parameters()):
        a.lerp_(m, 1 - r)
    for a, m in zip(average.buffers(), model.buffers()):
        a.copy_(m)
    return average.state_dict()
""",
            Slip("shares exchanged", "a.lerp_(m, 1 - r)", "a.lerp_(m, r)"),
            Slip(
                "only the parameters", "average.buffers(), model.buffers()", "[], []", names=("running_mean", "buffer")
            ),
        ),
        Style(
            "mul_ and add_",
            """
def ema_update(average, model, step, decay):
    r = (1 + step) / (10 + step)
    if r > decay:
        r = decay
    with torch.no_grad():
        for own, new in zip(average.parameters(), model.parameters()):
            own.mul_(r).add_(new, alpha=1 - r)
        for own, new in zip(average.buffers(), model.buffers()):
            own.copy_(new)
    return average.state_dict()
""",
            Slip("not a mean", "alpha=1 - r", "alpha=r"),
            Slip("rate turned", "if r > decay", "if r < decay"),
        ),
        Style(
            "state dicts",
            """
def ema_update(average, model, step, decay):
    r = min(decay, (1 + step) / (10 + step))
    learned = {name for name, _ in average.named_parameters()}
    new = {}
    for name, value in model.state_dict().items():
        old = average.state_dict()[name]
        new[name] = r * old + (1 - r) * value if name in learned else value.clone()
    average.load_state_dict(new)
    return average.state_dict()
""",
            Slip(
                "buffers averaged",
                "if name in learned else value.clone()",
                "if value.is_floating_point() else value.clone()",
                names=("running_mean",),
            ),
            Slip(
                "the model's own",
                "return average.state_dict()",
                "return model.state_dict()",
                names=("the model's own numbers are given",),
            ),
        ),
        Style(
            "data of each parameter, by name",
            """
def ema_update(average, model, step, decay):
    rate = min(decay, (step + 1) / (step + 10))
    latest = dict(model.named_parameters())
    for name, p in average.named_parameters():
        p.data = rate * p.data + (1 - rate) * latest[name].data
    for own, new in zip(average.buffers(), model.buffers()):
        own.data = new.data.clone()
    return average.state_dict()
""",
            Slip("rate of ten", "(step + 10)", "(step + 1)", names=("the average begins at the full",)),
            Slip("shared memory", "new.data.clone()", "new.data", names=("memory",)),
        ),
    ],
}
