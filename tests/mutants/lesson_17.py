"""Wrong answers to lesson 17's exercises, and a few that are right in another way."""

from mutants import Mutant

_WIDE = "low, high = min(low, 0.0), max(high, 0.0)"
_CODES = "return ((x / scale).round() + zero).clamp(0, 255).to(torch.uint8)"
_STEPS = "scales = weight.flatten(1).abs().amax(1) / 127"
_ROUNDED = "(weight / scales.view(-1, 1, 1, 1)).round().to(torch.int8)"
_CENTRED = "centred = codes.double() - zero"
_SUMS = """sums = torch.nn.functional.conv2d(
        centred, w_codes.double(), stride=stride, padding=padding
    )"""
_VALUES = "return sums * (scale * w_scales.double()).view(1, -1, 1, 1)"
_FIT = 'fit = [row for row in rows if row["ms"] <= frame and row["worst"] >= 0.5]'
_CHOSEN = 'return max(fit, key=lambda row: row["miou"])["name"] if fit else None'

MUTANTS = {
    "17.1": [
        Mutant("256 steps", "/ 255", "/ 256", "255 of your steps are 4.482"),
        Mutant("not widened", _WIDE, "pass", "0.4…6.0 does not hold 0"),
        Mutant("only downwards", _WIDE, "low = min(low, 0.0)", "-3.0…-1.0 does not hold 0"),
        Mutant("only upwards", _WIDE, "high = max(high, 0.0)", "0.4…6.0 does not hold 0"),
        Mutant("sign", "round(-low / scale)", "round(low / scale)", "its code is 85, and yours is -85"),
        Mutant("cut off", "round(-low / scale)", "int(-low / scale)", "133.875 steps above"),
        Mutant("as a fraction", "round(-low / scale)", "-low / scale", "an int; yours is 133.875, a float"),
        Mutant("the middle", "round(-low / scale)", "128", "and yours is 128"),
        Mutant("symmetric", "(high - low) / 255", "max(-low, high) / 127", "255 of your steps are 6.024"),
        Mutant("a tensor for the step", "return scale, ", "return torch.tensor(scale), ", "The step is a Tensor"),
        Mutant(
            "a tensor for the code",
            "round(-low / scale)",
            "(-torch.tensor(low) / scale).round().int()",
            "The code of 0 is a Tensor, and a plain number is asked for",
        ),
        Mutant("rounded by numpy, a float", "round(-low / scale)", "np.round(-low / scale)", "a float64: round it"),
        Mutant("the step alone", "return scale, round(-low / scale)", "return scale", "a pair"),
        Mutant("from above, right as well", "round(-low / scale)", "255 - round(high / scale)"),
        Mutant("with ifs, right as well", _WIDE, "low = low if low < 0 else 0.0\n    high = high if high > 0 else 0.0"),
        Mutant("numpy's own numbers, right as well", "round(-low / scale)", "np.int64(round(-low / scale))"),
    ],
    "17.2": [
        Mutant("as given", ".clamp(0, 255).to(", ".to(torch.int32).to(", "answer"),
        Mutant("signed limits", "clamp(0, 255)", "clamp(-128, 127)", "answer"),
        Mutant("only above", "clamp(0, 255)", "clamp(max=255).to(torch.int32)", "answer"),
        Mutant("only below", "clamp(0, 255)", "clamp(min=0).to(torch.int32)", "answer"),
        Mutant("one code less", "clamp(0, 255)", "clamp(0, 254)", "answer"),
        Mutant("not rounded", "(x / scale).round()", "(x / scale)", "answer"),
        Mutant("floats", ".to(torch.uint8)", "", "uint8"),
        Mutant("without zero point", ".round() + zero)", ".round())", "answer"),
        Mutant("clamped values", _CODES, "return ((x.clamp(0, 255) / scale).round() + zero).to(torch.uint8)", "answer"),
        Mutant("clip, right as well", ".clamp(0, 255)", ".clip(0, 255)"),
        Mutant(
            "minimum and maximum, right as well",
            _CODES,
            "q = (x / scale).round() + zero\n"
            "    return q.minimum(torch.tensor(255.0)).maximum(torch.tensor(0.0)).byte()",
        ),
    ],
    "17.3": [
        Mutant("per tensor", _STEPS, "scales = (weight.abs().max() / 127).expand(len(weight))", "answer[0]"),
        Mutant("128 steps", "/ 127", "/ 128", "answer"),
        Mutant("maximum without abs", ".abs().amax(1)", ".amax(1)", "answer"),
        Mutant("per input channel", _STEPS, "scales = weight.abs().amax((0, 2, 3)) / 127", "answer"),
        Mutant("cut off, not rounded", ".round().to(torch.int8)", ".to(torch.int8)", "answer[0]"),
        Mutant("as floats", ".round().to(torch.int8)", ".round()", "int8"),
        Mutant("whole range", "/ 127", "/ 255", "answer"),
        Mutant("exchanged", f"return {_ROUNDED}, scales", f"return scales, {_ROUNDED}", "answer[0]"),
        Mutant(
            "over three dimensions, right as well", "weight.flatten(1).abs().amax(1)", "weight.abs().amax((1, 2, 3))"
        ),
        Mutant("None for view, right as well", "scales.view(-1, 1, 1, 1)", "scales[:, None, None, None]"),
    ],
    "17.4": [
        Mutant(
            "codes padded first",
            f"{_CENTRED}\n    {_SUMS}",
            f"{_SUMS.replace('centred', 'codes.double()')}\n"
            "    sums = sums - zero * w_codes.double().sum((1, 2, 3)).view(1, -1, 1, 1)",
            "padding=1",
        ),
        Mutant("no zero point", _CENTRED, "centred = codes.double()", "answer"),
        Mutant("bytes wrap", _CENTRED, "centred = (codes - zero).double()", "answer"),
        Mutant("stride forgotten", "stride=stride, ", "", "stride=2"),
        Mutant("padding forgotten", ", padding=padding", "", "padding=1"),
        Mutant("steps of the weights forgotten", "(scale * w_scales.double()).view(1, -1, 1, 1)", "scale", "answer"),
        Mutant("step of the map forgotten", "(scale * w_scales.double())", "w_scales.double()", "answer"),
        Mutant("one step for all", "w_scales.double())", "w_scales.double().mean().expand(4))", "answer"),
        Mutant("steps divided", "return sums * (", "return sums / (", "answer"),
        Mutant(
            "padded with the zero point, right as well",
            f"{_CENTRED}\n    {_SUMS}",
            "padded = torch.nn.functional.pad(codes.double(), [padding] * 4, value=zero)\n"
            "    sums = torch.nn.functional.conv2d(padded, w_codes.double(), stride=stride)\n"
            "    sums = sums - zero * w_codes.double().sum((1, 2, 3)).view(1, -1, 1, 1)",
        ),
        Mutant("None for view, right as well", ".view(1, -1, 1, 1)", "[:, None, None]"),
    ],
    "17.5": [
        Mutant("classes of got", "np.unique(expected)", "np.unique(got)", "class 4 is in got alone"),
        Mutant("of both, right as well", "np.unique(expected)", "np.union1d(expected, got)"),
        Mutant("recall", "/ (a | b).sum()", "/ a.sum()", "that is recall"),
        Mutant("precision", "/ (a | b).sum()", "/ max(1, b.sum())", "that is precision"),
        Mutant("least forgotten", "if a.mean() >= least:", "if True:", "least=0.1. The keys should be [1, 5]"),
        Mutant("share of the union", "a.mean() >= least", "(a | b).mean() >= least", "least="),
        Mutant(
            "the lost left out",
            "a.mean() >= least",
            "a.mean() >= least and (a & b).any()",
            "Class 9 has 1 of 12 pixels and is lost",
        ),
        Mutant("in percent", "float((a & b)", "100 * float((a & b)", "that is per cent"),
        Mutant("more than", "a.mean() >= least", "a.sum() >= 2", "Class 9 has 1 of 12 pixels"),
        Mutant("counted, right as well", "(a | b).sum()", "(a.sum() + b.sum() - (a & b).sum())"),
        Mutant("a set, right as well", "np.unique(expected)", "sorted(set(expected.ravel().tolist()))"),
    ],
    "17.6": [
        Mutant(
            "the fastest",
            _CHOSEN,
            _CHOSEN.replace('max(fit, key=lambda row: row["miou"])', 'min(fit, key=lambda row: row["ms"])'),
            "Yours ships 'fast'",
        ),
        Mutant("classes ignored", ' and row["worst"] >= 0.5', "", "worst 0.0"),
        Mutant("time ignored", 'row["ms"] <= frame and ', "", "slow takes 60 ms"),
        Mutant("the lowest", "max(fit", "min(fit", "Yours ships 'fast'"),
        Mutant("the first that is allowed", _CHOSEN, 'return fit[0]["name"] if fit else None', "Yours ships 'fast'"),
        Mutant("the whole row", '["name"] if fit', " if fit", "fast takes 10"),
        Mutant("an error for nothing", " if fit else None", "", "It cannot be run"),
        Mutant("anything rather than nothing", "else None", 'else rows and rows[0]["name"]', "the answer is None"),
        Mutant("too strict", ">= 0.5", ">= 0.9", "Yours ships 'fast'"),
        Mutant("either", "<= frame and", "<= frame or", "slow takes 60 ms"),
        Mutant(
            "sorted, right as well",
            _CHOSEN,
            'ordered = sorted(fit, key=lambda row: row["miou"])\n    return ordered[-1]["name"] if ordered else None',
        ),
        Mutant(
            "with a loop, right as well",
            f"{_FIT}\n    {_CHOSEN}",
            "name, best = None, -1\n    for row in rows:\n"
            '        if row["ms"] <= frame and row["worst"] >= 0.5 and row["miou"] > best:\n'
            '            name, best = row["name"], row["miou"]\n    return name',
        ),
    ],
}
