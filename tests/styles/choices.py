"""A choice of one reading, in other styles, for all lessons that ask for one."""

from styles import Slip, Style


def readings(name: str, right: str, **wrong: str) -> list[Style]:
    """A choice of one reading, said in five ways.

    Args:
        name: of the function.
        right: the key of the right reading.
        wrong: keys of two other readings, each with some words of what contradicts it.
    """
    (one, against_one), (other, against_other) = wrong.items()
    return [
        Style(
            "a string",
            f'def {name}():\n    return "{right}"\n',
            Slip("another reading", f'"{right}"', f'"{one}"', names=(against_one,)),
            Slip("not returned", "return ", "", names=("returns nothing",)),
        ),
        Style(
            "a lambda",
            f"{name} = lambda: '{right}'\n",
            Slip("another reading", f"'{right}'", f"'{other}'", names=(against_other,)),
            Slip("no function", "lambda: ", "", names=("must be a function",)),
        ),
        Style(
            "by elimination",
            f"def {name}():\n"
            f'    wrong = set("abcd") - {{"{right}"}}\n'
            f'    return next(key for key in "abcd" if key not in wrong)\n',
            Slip("one that was ruled out", "not in wrong", "in wrong", names=(against_one,)),
            Slip("all that are left", "next(key", "list(key", names=("a list",)),
        ),
        Style(
            "a number looked up",
            f"def {name}() -> str:\n    letters = 'a', 'b', 'c', 'd'\n    return letters[{'abcd'.index(right)}]\n",
            Slip("its number", f"letters[{'abcd'.index(right)}]", str("abcd".index(right)), names=("an int",)),
            Slip("all of them", f"letters[{'abcd'.index(right)}]", "letters", names=("a tuple",)),
        ),
        Style(
            "an object that can be called",
            f"class Reading:\n    key = '{right}'\n\n    def __call__(self):\n        return self.key\n\n"
            f"{name} = Reading()\n",
            Slip(
                "a capital letter",
                "return self.key",
                "return self.key.upper()",
                names=(f"no reading '{right.upper()}'",),
            ),
            Slip("another reading", f"'{right}'", f"'{one}'", names=(against_one,)),
        ),
    ]
