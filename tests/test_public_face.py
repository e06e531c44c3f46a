"""What people type and import, as it was in the first release: it may grow, and shrinks only by a line in CHANGELOG.

``python tests/test_public_face.py`` writes `public_face.json` anew, which is to be read before it is committed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import edgeseg
import edgeseg.course
from edgeseg.cli import app
from edgeseg.models.registry import ARCHS
from edgeseg.models.zoo import get_record, list_weights
from edgeseg.training.recipes import list_recipes

HOME = Path(__file__).resolve().parent.parent
RELEASED = Path(__file__).with_name("public_face.json")
PAGES = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md")), HOME / "course" / "README.md"]


def commands(group: Any = None, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every command with its options, e.g. ``("data get", ["--source", "--to"])``."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        whole = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, whole)
        else:
            options = {o for p in command.params if p.param_type_name == "option" for o in p.opts if o.startswith("--")}
            yield whole, sorted(options - {"--help"})


def face() -> dict[str, Any]:
    return {
        "edgeseg": sorted(edgeseg.__all__),
        "edgeseg.course": sorted(edgeseg.course.__all__),
        "architectures": sorted(ARCHS),
        "recipes": sorted(list_recipes()),
        "weights": {name: get_record(name).sha256 for name in list_weights()},
        "commands": dict(commands()),
    }


@pytest.mark.parametrize("kind", ["edgeseg", "edgeseg.course", "architectures", "recipes"])
def test_no_name_has_gone(kind):
    assert set(json.loads(RELEASED.read_text())[kind]) <= set(face()[kind])


def test_every_weight_is_there_under_its_hash():
    released = json.loads(RELEASED.read_text())["weights"]
    assert released == {name: get_record(name).sha256 for name in released}


def test_no_command_and_no_option_has_gone():
    released, now = json.loads(RELEASED.read_text())["commands"], dict(commands())
    gone = {name: sorted(set(options) - set(now.get(name, ()))) for name, options in released.items()}
    assert set(released) <= set(now)
    assert not {name: options for name, options in gone.items() if options}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))
def test_the_pages_name_commands_and_options_that_exist(page):
    now = dict(commands())
    groups = {name.split()[0] for name in now if " " in name}
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    wrong = []
    for first, second, rest in re.findall(r"(?:^|`|\$ |&& )edgeseg (\w+)(?: (\w+))?([^`\n|]*)", text, re.MULTILINE):
        name = f"{first} {second}" if first in groups else first
        options = set(re.findall(r"(?<=\s)--[a-z][a-z-]*", f"{rest}"))
        if name not in now or not options <= {*now[name], "--help"}:
            wrong.append(f"edgeseg {first} {second}{rest}")
    assert not wrong


def test_the_readmes_python_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (HOME / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 1
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    shape, right, logits = re.fullmatch(
        r"(\(.*?\)) (\S+) (torch.Size.*)", capsys.readouterr().out.strip().splitlines()[-1]
    ).groups()
    assert (shape, logits) == ("(360, 480)", "torch.Size([1, 11, 360, 480])")
    assert float(right) > 0.8


def test_the_readmes_links_lead_to_files():
    text = (HOME / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert len(links) > 10
    assert [link for link in links if not (HOME / link).exists()] == []


if __name__ == "__main__":
    RELEASED.write_text(json.dumps(face(), indent=1) + "\n", encoding="utf-8")
