"""Lesson 07: wrong answers that `check` must refuse, and a few right ones in other words."""

from mutants import Mutant

CHOSEN = "logits.log_softmax(1).gather(1, known[:, None])[:, 0]"
ONE_HOT = "(logits.log_softmax(1) * F.one_hot(known, logits.shape[1]).permute(0, 3, 1, 2)).sum(1)"
TORCHS = "-F.cross_entropy(logits, target, ignore_index=VOID, reduction='none')"
LOOKED_UP = "logits.softmax(1).gather(1, target.clamp(max=logits.shape[1] - 1)[:, None])[:, 0]"
FACTOR = "(1 - p) ** self.gamma"
VALID = "(target != VOID).sum()"
PRESENT = "((1 - dice) * (true > 0)).sum(), (true > 0).sum()"
BAR = "bar.clamp(max=-math.log(self.threshold))"
THRESHOLD_ALONE = "torch.full((len(target), 1), -math.log(self.threshold), dtype=pixel.dtype)"
PLACE = "(self.keep * valid.sum((1, 2))).ceil().long() - 1"
BATCH_PLACE = "(self.keep * valid.sum() / 2).ceil().long().expand(len(target)) - 1"
WARM = "rate * min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else rate"
RISING = "min(decay, (1 + step) / (10 + step))"
MIXED = "rate * own + (1 - rate) * latest"
BUFFERS = "for own, latest in zip(average.buffers(), model.buffers(), strict=True):\n            own.copy_(latest)"

MUTANTS = {
    "07.1": [
        Mutant("void counts", "valid.to(logits.dtype)", "torch.ones_like(log_p)", "should be 1.03155"),
        Mutant("divided by all pixels", "weight.sum()\n", "weight.new_tensor(target.numel())\n", "should be 1.03155"),
        Mutant("count without the weights", "weight.sum()\n", "valid.sum()\n", "Tried with (weight="),
        Mutant("a mean for the sum", "(-log_p * weight).sum()", "(-log_p * weight).mean()", "and should be 1"),
        Mutant("softmax along the rows", "log_softmax(1)", "log_softmax(2)", "log_softmax(2)"),
        Mutant("no logarithm", "log_softmax(1)", "softmax(1)", "softmax(1)"),
        Mutant("sign forgotten", "-log_p * weight", "log_p * weight", "-1.03155, and should be 1.03155"),
        Mutant("weights of the guess", "self.weight[known]", "self.weight[logits.argmax(1)]", "Tried with (weight="),
        Mutant("a gradient cut off", "logits.log_softmax(1)", "logits.detach().log_softmax(1)", "gradient"),
        Mutant("void looked up", "target.masked_fill(~valid, 0)", "target", "index 255 is out of bounds"),
        Mutant("NaN on void alone", "weight.sum()\n", "(weight.sum() / (weight.sum() > 0))\n", "nan"),
        Mutant("right: PyTorch's own loss", CHOSEN, TORCHS),
        Mutant("right: one-hot product", CHOSEN, ONE_HOT),
    ],
    "07.2": [
        Mutant("the easy pixels", FACTOR, "p ** self.gamma", "and should be 0"),
        Mutant("times for to the power", FACTOR, "(1 - p) * self.gamma", "mul"),
        Mutant("factor detached", "torch.exp(-pixel)", "torch.exp(-pixel).detach()", "gradient"),
        Mutant("void in the count", VALID, "target.numel()", "'int'"),
        Mutant("all pixels in the count", VALID, "(target >= 0).sum()", "should be"),
        Mutant("divided by the factors", VALID, f"(({FACTOR}) * (target != VOID)).sum()", "should be"),
        Mutant("p of the likeliest class", "torch.exp(-pixel)", "logits.softmax(1).amax(1)", "amax"),
        Mutant("factor alone", f"({FACTOR} * pixel)", f"({FACTOR} * (target != VOID))", "stands alone"),
        Mutant("sign of the exponent", "torch.exp(-pixel)", "torch.exp(pixel)", "exp"),
        Mutant("void not ignored", "ignore_index=VOID, ", "", "IndexError"),
        Mutant("right: softmax and gather", "torch.exp(-pixel)", LOOKED_UP),
    ],
    "07.3": [
        Mutant("void in p", "logits.softmax(1) * (target != VOID)[:, None]", "logits.softmax(1)", "sum"),
        Mutant("absent classes count", PRESENT, "(1 - dice).sum(), torch.tensor(len(dice))", "smooth=0.1"),
        Mutant("absent ones in the sum", "((1 - dice) * (true > 0)).sum()", "(1 - dice).sum()", "smooth=0.1"),
        Mutant("absent ones in the count", ", (true > 0).sum()", ", torch.tensor(len(dice))", "smooth=0.1"),
        Mutant("each image by itself", "sum((0, 2, 3))", "sum((2, 3))", "and should be 0"),
        Mutant("2 forgotten", "2 * overlap", "overlap", "add"),
        Mutant("likeness for distance", "(1 - dice)", "dice", "and should be 0"),
        Mutant("smooth above only", "/ (mine + true + self.smooth)", "/ (mine + true)", "added above and not below"),
        Mutant("smooth below only", "2 * overlap + self.smooth", "2 * overlap", "div"),
        Mutant("sigmoid for softmax", "logits.softmax(1)", "logits.sigmoid()", "sigmoid"),
        Mutant("softmax along the rows", "softmax(1)", "softmax(2)", "softmax"),
        Mutant("squares below, as in V-Net", "(p * truth, p, truth)", "(p * truth, p * p, truth)", "p * p"),
        Mutant("right: pixels first, then images", "sum((0, 2, 3))", "flatten(2).sum(2).sum(0)"),
    ],
    "07.4": [
        Mutant("threshold alone", BAR, THRESHOLD_ALONE, "should be"),
        Mutant("share alone", ".clamp(max=-math.log(self.threshold))", "", "should be"),
        Mutant("the higher bar", "clamp(max=-math.log", "clamp(min=-math.log", "the higher of the two bars"),
        Mutant("threshold as a loss", "-math.log(self.threshold)", "self.threshold", "and should be 1"),
        Mutant("the easy ones", "pixel >= bar", "pixel <= bar", "should be 1.6549"),
        Mutant("share of all pixels", "* valid.sum((1, 2))", "* (target >= 0).sum((1, 2))", "should be"),
        Mutant("rounded down", ".ceil().long() - 1", ".long() - 1", "should be"),
        Mutant("void is kept", "return valid & (pixel", "return (pixel", "should be"),
        Mutant("sorted upwards", "descending=True", "descending=False", "sort"),
        Mutant("one bar for the batch", PLACE, BATCH_PLACE, "should be"),
        Mutant("one pixel too many", ".ceil().long() - 1", ".ceil().long()", "should be"),
        Mutant("all void fails", "place.clamp(min=0)", "place", "index"),
        Mutant("right: topk", "sort(1, descending=True).values", "topk(pixel[0].numel(), dim=1).values"),
    ],
    "07.5": [
        Mutant("down to 0", "recipe.min_lr + (recipe.lr - recipe.min_lr) * share", "recipe.lr * share", "poly"),
        Mutant("min_lr on top", "(recipe.lr - recipe.min_lr) * share", "recipe.lr * share", "poly"),
        Mutant("always linear", "(1 - progress) ** recipe.power", "1 - progress", "poly"),
        Mutant("power of progress", "(1 - progress) ** recipe.power", "1 - progress ** recipe.power", "poly"),
        Mutant("half forgotten", "0.5 * (1 + math.cos", "(1 + math.cos", "cosine"),
        Mutant("a whole wave", "math.pi * progress", "2 * math.pi * progress", "cosine"),
        Mutant("cosine always", 'recipe.schedule == "cosine"', "recipe.schedule", "poly"),
        Mutant("warm-up begins at 0", "(step + 1) / recipe.warmup", "step / recipe.warmup", "cosine"),
        Mutant("warm-up never ends", "min(1.0, (step + 1) / recipe.warmup)", "(step + 1) / recipe.warmup", "cosine"),
        Mutant("no warm-up", WARM, "rate", "cosine"),
        Mutant("division by no warm-up", " if recipe.warmup else rate", "", "ZeroDivisionError"),
        Mutant("overshoots", "min(progress, 1.0)", "progress", "overshoot"),
        Mutant(
            "right: the cosine of half the angle, squared",
            "0.5 * (1 + math.cos(math.pi * progress))",
            "math.cos(math.pi * progress / 2) ** 2",
        ),
    ],
    "07.6": [
        Mutant("rate does not rise", RISING, "decay", "step=0"),
        Mutant("rate rises for ever", RISING, "(1 + step) / (10 + step)", "step=5000"),
        Mutant("the higher rate", "min(decay,", "max(decay,", "weight"),
        Mutant("shares swapped", MIXED, "(1 - rate) * own + rate * latest", "weight"),
        Mutant("buffers averaged", BUFFERS, BUFFERS.replace("copy_(latest)", f"copy_({MIXED})"), "running_mean"),
        Mutant("buffers forgotten", BUFFERS, "pass", "running_mean"),
        Mutant("a new name for a new tensor", f"own.copy_({MIXED})", f"own = {MIXED}", "weight"),
        Mutant("with gradients", "with torch.no_grad():", "with torch.enable_grad():", "leaf"),
        Mutant("the model is changed", f"own.copy_({MIXED})", f"latest.copy_({MIXED})", "weight"),
        Mutant("the model's state", "return average.state_dict()", "return model.state_dict()", "weight"),
        Mutant("the module itself", "return average.state_dict()", "return average", "dict"),
        Mutant("right: lerp", f"own.copy_({MIXED})", "own.lerp_(latest, 1 - rate)"),
    ],
}
