"""Lesson 18 in other styles."""

from styles import Slip, Style
from styles.choices import readings

STYLES = {
    "18.1": [
        Style(
            "get with a default",
            """
def multiplying_types(steps):
    found = {}
    for step in steps:
        if step.operation in {"conv1d", "conv2d", "linear", "matmul"}:
            found[step.gives] = found.get(step.gives, 0) + 1
    return found
""",
            Slip("one operation forgotten", '"linear", ', "", names=("relu and linear",)),
            Slip("pools, too", '"matmul"}', '"matmul", "mean"}', names=("graph of one mean",)),
            Slip(
                "not added", "found.get(step.gives, 0) + 1", "1", names=("two convolutions and a linear give float16",)
            ),
        ),
        Style(
            "skip, then a defaultdict",
            """
from collections import defaultdict

def multiplying_types(steps):
    counts = defaultdict(int)
    for s in steps:
        is_work = s.operation.startswith("conv") or s.operation in ("linear", "matmul")
        if not is_work:
            continue
        counts[s.gives] += 1
    return counts
""",
            Slip("every step", "if not is_work", "if False", names=("'float32': 1, 'float16': 1",)),
            Slip("by operation", "counts[s.gives]", "counts[s.operation]", names=("'conv1d': 1",)),
            Slip("turned", "if not is_work", "if is_work"),
        ),
        Style(
            "a Counter of a generator",
            """
def multiplying_types(steps):
    work = "conv1d conv2d linear matmul".split()
    return Counter(s.gives for s in steps if s.operation in work)
""",
            Slip("part of the word", "s.operation in work", "s.operation[:4] in work"),
            Slip("as names", "s.gives for s", "s.name for s", names=("'b': 1",)),
            Slip(
                "a word of letters",
                '"conv1d conv2d linear matmul".split()',
                '"conv1d conv2d lin matmul".split()',
                names=("relu and linear",),
            ),
        ),
        Style(
            "sorted and grouped",
            """
import itertools

def multiplying_types(steps):
    types = sorted(s.gives for s in steps if s.operation in ("matmul", "linear", "conv2d", "conv1d"))
    return {kind: len(list(group)) for kind, group in itertools.groupby(types)}
""",
            Slip("share", "len(list(group))", "len(list(group)) / len(types)", names=("1.0",)),
            Slip(
                "convolutions alone",
                '("matmul", "linear", "conv2d", "conv1d")',
                '("conv2d", "conv1d")',
                names=("relu and linear",),
            ),
            Slip(
                "number of kinds",
                "len(list(group)) for",
                "len(set(types)) for",
                names=("two convolutions and a linear give float16",),
            ),
        ),
        Style(
            "numpy's unique",
            """
import numpy as np

def multiplying_types(steps):
    products = [s for s in steps if s.operation in ("conv1d", "conv2d", "linear", "matmul")]
    kinds, numbers = np.unique([s.gives for s in products], return_counts=True)
    return dict(zip(kinds.tolist(), numbers.tolist()))
""",
            Slip("of all steps", "for s in products]", "for s in steps]", names=("'float32': 1",)),
            Slip(
                "turned round",
                "zip(kinds.tolist(), numbers.tolist())",
                "zip(numbers.tolist(), kinds.tolist())",
                names=("1: 'float16'",),
            ),
            Slip(
                "the number of types",
                "return dict(zip(kinds.tolist(), numbers.tolist()))",
                "return len(kinds)",
                names=("yours is 1",),
            ),
        ),
    ],
    "18.2": [
        Style(
            "one by one",
            """
def call_checked(build, *args, **options):
    named = inspect.signature(build).parameters
    for option in options:
        if option not in named:
            raise TypeError(f"unknown option {option!r}")
    return build(*args, **options)
""",
            Slip("nothing returned", "return build", "build", names=("you return None",)),
            Slip("another error", "raise TypeError", "raise ValueError", names=("ValueError",)),
            Slip("without the name", 'f"unknown option {option!r}"', '"unknown option"', names=("error should name",)),
            Slip("options forgotten", "build(*args, **options)", "build(*args)", names=("'min_block_size': 5}",)),
        ),
        Style(
            "a set difference",
            """
def call_checked(build, *args, **options):
    extra = options.keys() - inspect.signature(build).parameters.keys()
    if extra:
        raise TypeError("nobody reads " + " and ".join(sorted(extra)))
    result = build(*args, **options)
    return result
""",
            Slip(
                "built first",
                "    extra = options",
                "    build(*args, **options)\n    extra = options",
                names=("check first",),
            ),
            Slip(
                "turned difference",
                "options.keys() - inspect.signature(build).parameters.keys()",
                "inspect.signature(build).parameters.keys() - options.keys()",
                names=("names min_block_size, and yours refuses it",),
            ),
            Slip(
                "positional ones forgotten",
                "result = build(*args, **options)",
                "result = build(**options)",
                names=("was given {'program': None, 'inputs': None",),
            ),
        ),
        Style(
            "an assertion turned into a TypeError",
            """
def call_checked(build, *args, **options):
    known = list(inspect.signature(build).parameters)
    try:
        assert all(name in known for name in options)
    except AssertionError:
        bad = [name for name in options if name not in known]
        raise TypeError(f"{build} has no {bad}") from None
    return build(*args, **options)
""",
            Slip("any instead of all", "assert all(", "assert not options or any(", names=("lets it through",)),
            Slip("the known ones told", "{bad}", "{known}", names=("should name",)),
            Slip(
                "a dict for options",
                "build(*args, **options)",
                "build(*args, options)",
                names=("takes from 0 to 2 positional arguments but 3 were given",),
            ),
        ),
        Style(
            "the code object's names",
            """
def call_checked(build, *args, **options):
    code = build.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    unknown = next((key for key in options if key not in names), None)
    if unknown is not None:
        raise TypeError(unknown)
    return build(*args, **options)
""",
            Slip(
                "keyword-only ones forgotten",
                "code.co_argcount + code.co_kwonlyargcount",
                "code.co_argcount",
                names=("names min_block_size, and yours refuses it",),
            ),
            Slip(
                "no name is known",
                "code.co_argcount + code.co_kwonlyargcount",
                "code.co_argcount * 0",
                names=("names min_block_size, and yours refuses it",),
            ),
            Slip("told, not raised", "raise TypeError(unknown)", "return unknown", names=("lets it through",)),
        ),
        Style(
            "bind without the catch-all",
            """
def call_checked(build, *args, **options):
    whole = inspect.signature(build)
    kept = [p for p in whole.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    strict = whole.replace(parameters=kept)
    bound = strict.bind(*args, **options)
    return build(*bound.args, **bound.kwargs)
""",
            Slip(
                "catch-all kept",
                "strict = whole.replace(parameters=kept)",
                "strict = whole",
                names=("lets it through",),
            ),
            Slip(
                "defaults for what was given",
                "build(*bound.args, **bound.kwargs)",
                "build(*bound.args)",
                names=("'min_block_size': 5}",),
            ),
            Slip("bound alone", "return build(*bound.args, **bound.kwargs)", "return bound", names=("given nothing",)),
        ),
    ],
    "18.3": [
        Style(
            "levels in a dict, one loop",
            """
def engines(steps, supported):
    operation = {s.name: s.operation for s in steps}
    level = {}
    for s in steps:
        level[s.name] = 0
        for parent in s.parents:
            ends = 0 if operation[parent] in supported else 1
            level[s.name] = max(level[s.name], level[parent] + ends)
    held = {level[s.name] for s in steps if s.operation in supported}
    return len(held)
""",
            Slip("each level counts", " if s.operation in supported}", "}", names=("level 1 holds an odd step alone",)),
            Slip(
                "last parent decides",
                "level[s.name] = max(level[s.name], level[parent] + ends)",
                "level[s.name] = level[parent] + ends",
                names=("the largest decides",),
            ),
            Slip("smallest", "max(level[s.name], level", "min(level[s.name], level"),
        ),
        Style(
            "recursion with a cache",
            """
import functools

def engines(steps, supported):
    by_name = {step.name: step for step in steps}

    @functools.cache
    def level(name):
        found = 0
        for parent in by_name[name].parents:
            plus = int(by_name[parent].operation not in supported)
            found = max(found, level(parent) + plus)
        return found

    return len(set(level(s.name) for s in steps if s.operation in supported))
""",
            Slip(
                "every parent plus 1",
                "plus = int(by_name[parent].operation not in supported)",
                "plus = 1",
                names=("all have level 0",),
            ),
            Slip(
                "number of steps, not of levels",
                "len(set(level(s.name) for s in steps if s.operation in supported))",
                "len([level(s.name) for s in steps if s.operation in supported])",
            ),
            Slip(
                "highest level",
                "len(set(level(s.name) for s in steps if s.operation in supported))",
                "max(level(s.name) for s in steps) + 1",
                names=("level 1 holds an odd step alone",),
            ),
        ),
        Style(
            "repeated until nothing changes",
            """
def engines(steps, supported):
    odd = {s.name for s in steps if s.operation not in supported}
    level = dict.fromkeys((s.name for s in steps), 0)
    changed = True
    while changed:
        changed = False
        for s in reversed(steps):
            for p in s.parents:
                if level[s.name] < level[p] + (p in odd):
                    level[s.name] = level[p] + (p in odd)
                    changed = True
    return len({level[name] for name in level if name not in odd})
""",
            Slip("only once", "while changed:", "for _ in range(1):"),
            Slip("levels of the odd", "if name not in odd}", "if name in odd}"),
            Slip("odd turned round", "s.operation not in supported}", "s.operation in supported}"),
        ),
        Style(
            "engine after engine",
            """
def engines(steps, supported):
    done, count = set(), 0
    while len(done) < len(steps):
        inside = []
        for s in steps:
            if s.name not in done and s.operation in supported and all(p in done or p in inside for p in s.parents):
                inside.append(s.name)
        count += len(inside) > 0
        done.update(inside)
        outside = [s.name for s in steps if s.name not in done and all(p in done for p in s.parents)]
        done.update(outside)
    return count
""",
            Slip(
                "empty ones counted",
                "count += len(inside) > 0",
                "count += 1",
                names=("level 1 holds an odd step alone",),
            ),
            Slip(
                "only finished parents",
                "all(p in done or p in inside for p in s.parents)",
                "all(p in done for p in s.parents)",
                names=("three supported steps in a chain",),
            ),
            Slip("steps counted", "count += len(inside) > 0", "count += len(inside)"),
        ),
        Style(
            "numpy over a matrix of parents",
            """
import numpy as np

def engines(steps, supported):
    place = {s.name: i for i, s in enumerate(steps)}
    good = np.array([s.operation in supported for s in steps], bool)
    level = np.zeros(len(steps), int)
    for i, s in enumerate(steps):
        if s.parents:
            rows = np.array([place[p] for p in s.parents])
            level[i] = (level[rows] + ~good[rows]).max()
    return len(np.unique(level[good]))
""",
            Slip(
                "all levels", "np.unique(level[good])", "np.unique(level)", names=("level 1 holds an odd step alone",)
            ),
            Slip("mean of the parents", ".max()\n", ".mean()\n"),
            Slip("one engine more", "len(np.unique(level[good]))", "len(np.unique(level[good])) + 1"),
        ),
    ],
    "18.4": [
        Style(
            "one dimension after another",
            """
class GlobalMaxPool(nn.Module):
    def forward(self, x):
        tallest = torch.amax(x, dim=2, keepdim=True)
        return torch.amax(tallest, dim=3, keepdim=True)
""",
            Slip(
                "values and places",
                "torch.amax(tallest, dim=3, keepdim=True)",
                "torch.max(tallest, dim=3, keepdim=True).values",
                names=("places beside values",),
            ),
            Slip(
                "over the channels",
                "torch.amax(x, dim=2, keepdim=True)",
                "torch.amax(x, dim=1, keepdim=True)",
                names=("(2, 1, 5, 1)",),
            ),
            Slip("minimum", "torch.amax(tallest", "torch.amin(tallest"),
        ),
        Style(
            "flattened",
            """
class GlobalMaxPool(nn.Module):
    def forward(self, x):
        n, c = x.shape[:2]
        return x.flatten(2).amax(-1).view(n, c, 1, 1)
""",
            Slip("two dimensions lost", ".view(n, c, 1, 1)", "", names=("is (2, 3)",)),
            Slip("the pool", "x.flatten(2).amax(-1)", "nn.functional.adaptive_max_pool2d(x, 1)", names=("pool again",)),
            Slip("mean", ".amax(-1)", ".mean(-1)", names=(": the mean",)),
        ),
        Style(
            "negative dimensions, indexing by None",
            """
class GlobalMaxPool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        values = x.amax(dim=[-1, -2])
        return values[..., None, None]
""",
            Slip("one axis", "values[..., None, None]", "values[..., None]", names=("(2, 3, 1)",)),
            Slip("images mixed", "x.amax(dim=[-1, -2])", "x.amax(dim=[0, -1, -2]).expand(len(x), -1)"),
            Slip("not below 0", "values[..., None, None]", "values[..., None, None].relu()"),
        ),
        Style(
            "the smallest of the negatives",
            """
class GlobalMaxPool(nn.Module):
    def __init__(self):
        super().__init__()
        self.dims = (2, 3)

    def forward(self, x):
        return -(-x).amin(self.dims, keepdim=True)
""",
            Slip("sign forgotten", "return -(-x)", "return (-x)"),
            Slip("no minus inside", "-(-x).amin", "-x.amin", names=("the minimum with the other sign",)),
            Slip("channels, too", "self.dims = (2, 3)", "self.dims = (1, 2, 3)", names=("(2, 1, 1, 1)",)),
        ),
        Style(
            "a chain of unsqueezed maxima",
            """
class GlobalMaxPool(nn.Module):
    def forward(self, x):
        row_best = x.amax(3)
        best = row_best.amax(2)
        return best.unsqueeze(2).unsqueeze(3)
""",
            Slip(
                "a pool of the map's size",
                "row_best = x.amax(3)",
                "row_best = nn.functional.max_pool2d(x, x.shape[2:]).squeeze(3)",
                names=("pool again",),
            ),
            Slip(
                "places of the wrong end",
                "best.unsqueeze(2).unsqueeze(3)",
                "best.unsqueeze(0).unsqueeze(1)",
                names=("(1, 1, 2, 3)",),
            ),
            Slip("sum", "row_best.amax(2)", "row_best.sum(2)"),
        ),
    ],
    "18.5": readings("to_ship", "c", a="RTX 3090", b="a Jetson is not among"),
}
