"""The rules of the house that a machine can check: arrows point down, files stay small, versions agree."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest there

HOME = Path(__file__).resolve().parent.parent
PACKAGE = HOME / "edgeseg"
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOORS = (  # top to bottom; a room may import from its own floor, unless listed below, and from those under it
    {"", "__main__", "cli", "quickstart"},  # "": the package's face; `from edgeseg import __version__` is free for all
    {"course"},
    {"training", "deploy", "bench", "live"},
    {"explain"},
    {"inference", "plots"},
    {"models", "data"},
    {"metrics", "files", "machine", "text", "void"},
)
CLOSED = {  # (importer, imported) on one floor, without a door
    ("training", "deploy"), ("training", "bench"), ("training", "live"), ("deploy", "training"), ("deploy", "bench"),
    ("deploy", "live"), ("bench", "training"), ("bench", "live"), ("live", "training"), ("live", "bench"),
    ("models", "data"), ("data", "models"),
}  # fmt: skip
LONGEST = 600  # lines: a file holds one idea, however long it takes up to about this


def project() -> dict:
    return tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))


def dotted(path: Path) -> str:
    """``edgeseg/data/labels.py`` → ``edgeseg.data.labels``; a package's ``__init__`` is the package."""
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str:
    """The first name below ``edgeseg``; empty for the package itself."""
    return module.removeprefix("edgeseg").removeprefix(".").partition(".")[0]


def floor(module: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room(module) in rooms)


def imports(path: Path) -> Iterator[str]:
    """Every module of edgeseg that a file imports, in functions too."""
    names = {dotted(p) for p in MODULES}
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # "from package import module" imports the module; "from module import name" the module that holds it
            found = [f"{base}.{a.name}" if f"{base}.{a.name}" in names else base for a in node.names]
            if base == "edgeseg" and all(a.name == "__version__" for a in node.names):
                continue
        else:
            continue
        yield from (name for name in found if name.split(".")[0] == "edgeseg")


ARROWS = {dotted(p): sorted(set(imports(p)) - {dotted(p)}) for p in MODULES if p != PACKAGE / "__init__.py"}


def test_every_room_has_a_floor():
    rooms = {room(m) for m in ARROWS}
    assert rooms <= set().union(*FLOORS), "a new room: give it a floor in this test and in CONTRIBUTING.md"


def test_arrows_point_down():
    up = []
    for module, targets in ARROWS.items():
        for target in targets:
            if floor(target) < floor(module) or (room(module), room(target)) in CLOSED:
                up.append(f"{module} imports {target}")
    assert not up


def test_no_imports_go_round_in_a_circle():
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> None:
        assert module not in way, " → ".join([*way[way.index(module) :], module])
        if module in done:
            return
        for target in ARROWS.get(module, []):
            visit(target, [*way, module])
        done.add(module)

    for module in ARROWS:
        visit(module, [])


def test_loading_weights_needs_no_network():
    below = {"edgeseg.models.weights", "edgeseg.models.zoo", "edgeseg.models.layers"}
    for module in sorted(below & set(ARROWS)):
        assert {t for t in ARROWS[module] if room(t) == "models"} <= below
    assert "edgeseg.models.weights" in ARROWS["edgeseg.models.registry"]


def test_only_layers_calls_interpolate():
    callers = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(n, ast.Attribute) and n.attr == "interpolate" for n in ast.walk(tree)):
            callers.append(dotted(path))
    assert callers == ["edgeseg.models.layers"]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path.name} has no docstring"


def test_no_file_is_over_600_lines():
    files = [p for folder in ("edgeseg", "tests", "benchmarks", "data_scripts") for p in (HOME / folder).rglob("*.py")]
    lengths = {str(p.relative_to(HOME)): p.read_text(encoding="utf-8").count("\n") for p in files}
    assert not {name: n for name, n in lengths.items() if n > LONGEST}


def test_no_public_function_shares_its_modules_name():
    twins = []
    for path in MODULES:
        if room(dotted(path)) == "cli":  # typer's functions carry the names of their commands; nobody imports them
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        names = {n.name for n in body if isinstance(n, ast.FunctionDef)}
        if dotted(path).rpartition(".")[2] in names:
            twins.append(dotted(path))
    assert not twins, "`from package import name` would be the module or the function, as imports happen to run"


# papers around the house


def test_the_version_is_the_changelogs_top_and_the_citations():
    version = project()["project"]["version"]
    top = re.search(r"^## (\S+)", (HOME / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    cited = re.search(r"^version: (\S+)$", (HOME / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert top[1] == version
    assert cited[1] == version


def test_the_citation_names_both_papers():
    text = (HOME / "CITATION.cff").read_text(encoding="utf-8")
    assert "Cross-CBAM: A Lightweight network for Scene Segmentation" in text
    assert "Backbone Feature Enhancement and Decoder Improvement in HRNet for Semantic Segmentation" in text


def test_environment_yml_agrees_with_pyproject():
    lines = (HOME / "environment.yml").read_text(encoding="utf-8").splitlines()
    items = [line.strip().removeprefix("- ") for line in lines if line.strip().startswith("- ")]
    about = project()["project"]
    assert items == ["conda-forge", "nodefaults", f"python{about['requires-python']}", "pip", "pip:", "-e .[course]"]
    assert "course" in about["optional-dependencies"]


def test_dependencies_have_floors_and_no_caps():
    about = project()["project"]
    extras = [d for group in about["optional-dependencies"].values() for d in group]
    for dependency in about["dependencies"] + extras:
        assert re.fullmatch(r"[A-Za-z0-9._-]+>=[\d.]+(; .+)?", dependency), dependency


def test_the_workflows_oldest_versions_are_the_floors():
    workflow = (HOME / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    about = project()["project"]
    floors = dict(d.split(">=") for d in about["dependencies"] + about["optional-dependencies"]["dev"])
    for name in ("torch", "torchvision", "numpy"):
        assert f"{name}=={floors[name]}.*" in workflow
    assert f'python: "{about["requires-python"].removeprefix(">=")}"' in workflow


def test_the_automatic_check_runs_the_readmes_test_command():
    assert re.search(r"^step make test$", (HOME / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    makefile = (HOME / "Makefile").read_text(encoding="utf-8")
    for target in ("quickstart", "test", "lint", "bench", "clean"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_licence_is_the_whole_apache_2():
    text = (HOME / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("Apache License")
    assert "END OF TERMS AND CONDITIONS" in text
    assert project()["project"]["license"] == "Apache-2.0"
