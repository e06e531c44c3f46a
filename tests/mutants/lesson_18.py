"""Lesson 18: wrong answers that `check` must refuse, and a few right ones in other words."""

from mutants import Mutant

_COUNT = "Counter(given)"
_REFUSE = """swallowed = [name for name in options if name not in known]
    if swallowed:
        raise TypeError(f"{build.__name__} would ignore {', '.join(swallowed)}")
    return build(*args, **options)"""

MUTANTS = {
    "18.1": [
        Mutant("every step", " if step.operation in multiplying]", "]", "graph of relu and conv1d"),
        Mutant("linear forgotten", '"linear", ', "", "graph of relu and linear"),
        Mutant("one-dimensional convolution for two", '"conv2d"', '"conv3d"', "graph of relu and conv2d"),
        Mutant("operations, not types", "[step.gives", "[step.operation", "{'conv1d': 1}"),
        Mutant(
            "only half",
            "in multiplying]",
            "in multiplying and step.gives == 'float16']",
            "one convolution gives float32",
        ),
        Mutant(
            "types without numbers", f"dict({_COUNT})", "{step.gives for step in steps}", "graph of relu and conv1d"
        ),
        Mutant("pools count, too", '"matmul")', '"matmul", "mean")', "graph of one mean"),
        Mutant(
            "right: a loop",
            f"return dict({_COUNT})",
            "found = {}\n    for step in steps:\n        if step.operation in multiplying:\n"
            "            found[step.gives] = found.get(step.gives, 0) + 1\n    return found",
        ),
        Mutant("right: a Counter", f"dict({_COUNT})", _COUNT),
    ],
    "18.2": [
        Mutant("nothing refused", "if swallowed:", "if False:", "compile_2_14 has no enabled_precisions"),
        Mutant(
            "built first",
            _REFUSE,
            _REFUSE.replace("swallowed =", "built = build(*args, **options)\n    swallowed =", 1),
            "the builder was called all the same",
        ),
        Mutant("name missing", "{', '.join(swallowed)}", "something", "the error should name enabled_precisions"),
        Mutant("nothing handed back", "return build(*args, **options)", "build(*args, **options)", "you return None"),
        Mutant(
            "known ones refused",
            "if name not in known]",
            "if name in known]",
            "names min_block_size, and yours refuses it",
        ),
        Mutant("positional arguments lost", "build(*args, **options)", "build(args[0], **options)", "inputs"),
        Mutant("options lost", "build(*args, **options)", "build(*args)", "the builder should be given"),
        Mutant("a list of its own", "not in known]", "== 'enabled_precisions']", "it says: compile_2_9 would ignore"),
        Mutant(
            "right: a loop",
            "if swallowed:\n        raise TypeError(f\"{build.__name__} would ignore {', '.join(swallowed)}\")",
            "for name in swallowed:\n        raise TypeError(name)",
        ),
        Mutant("right: a set", "[name for name in options if name not in known]", "sorted(set(options) - set(known))"),
    ],
    "18.3": [
        Mutant(
            "pieces along the list",
            "return len({level[step.name] for step in steps if step.operation in supported})",
            "ends = [s.operation not in supported for s in steps]\n    return 1 + sum(ends)",
            "yours is",
        ),
        Mutant("every level", " if step.operation in supported}", "}", "yours is"),
        Mutant(
            "last parent",
            "max(before, default=0)",
            "[0, *before][-1]",
            "the first parent of sum has an odd step before it, the other has none: the largest decides",
        ),
        Mutant("first parent", "max(before, default=0)", "[*before, 0][0]", "the second parent of sum"),
        Mutant("smallest parent", "level[step.name] = max(", "level[step.name] = min(", "yours is"),
        Mutant("supported steps end an engine", "p.operation not in supported", "p.operation in supported", "yours is"),
        Mutant(
            "right: the unsupported step itself begins the next level",
            "[level[p.name] + (p.operation not in supported) for p in parents]",
            "[level[p.name] + (step.operation not in supported) for p in parents]",
        ),
        Mutant("one too many", "return len(", "return 1 + len(", "yours is"),
        Mutant("no step without parents", ", default=0", "", "It cannot be run"),
        Mutant(
            "right: a loop",
            "level[step.name] = max(before, default=0)",
            "level[step.name] = 0\n        for p in parents:\n"
            "            level[step.name] = max(level[step.name], level[p.name] + int(p.operation not in supported))",
        ),
        Mutant(
            "right: a set that grows",
            "return len({level[step.name] for step in steps if step.operation in supported})",
            "found = set()\n    for step in steps:\n        if step.operation in supported:\n"
            "            found.add(level[step.name])\n    return len(found)",
        ),
    ],
    "18.4": [
        Mutant(
            "the pool again",
            "x.amax((2, 3), keepdim=True)",
            "nn.functional.adaptive_max_pool2d(x, 1)",
            "adaptive_max_pool2d",
        ),
        Mutant(
            "values and places",
            "x.amax((2, 3), keepdim=True)",
            "x.max(3).values.max(2).values[..., None, None]",
            "places beside values",
        ),
        Mutant(
            "a pool of the map's size",
            "x.amax((2, 3), keepdim=True)",
            "nn.functional.max_pool2d(x, x.shape[2:])",
            "max_pool2d",
        ),
        Mutant("dimensions dropped", ", keepdim=True", "", "the shape should be (2, 3, 1, 1)"),
        Mutant("the mean", "x.amax((2, 3), keepdim=True)", "x.mean((2, 3), keepdim=True)", ": the mean"),
        Mutant("the channels", "amax((2, 3)", "amax((1, 3)", "the shape should be"),
        Mutant(
            "nothing below zero",
            "x.amax((2, 3), keepdim=True)",
            "x.amax((2, 3), keepdim=True).clamp(min=0)",
            "the first maximum should be",
        ),
        Mutant("right: row by row", "x.amax((2, 3), keepdim=True)", "x.amax(3, keepdim=True).amax(2, keepdim=True)"),
        Mutant("right: flattened", "x.amax((2, 3), keepdim=True)", "x.flatten(2).amax(2)[:, :, None, None]"),
    ],
    "18.5": [
        Mutant("the file as it is", 'return "c"', 'return "a"', "RTX 3090"),
        Mutant("hardware_compatible", 'return "c"', 'return "b"', "a Jetson is not among"),
        Mutant("PyTorch's version", 'return "c"', 'return "d"', "Which PyTorch opens it"),
        Mutant("no such letter", 'return "c"', 'return "e"', "no reading 'e'"),
        Mutant("a sentence", 'return "c"', 'return "the ONNX file"', "no reading 'the ONNX file'"),
        Mutant("right: by a variable", 'return "c"', 'letter = "abcd"[2]\n    return letter'),
    ],
}
