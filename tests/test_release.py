"""The release workflow: what a tag sets off, in which order, and that no secret is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest there

yaml = pytest.importorskip("yaml")  # comes with jupytext, of the extra dev

HOME = Path(__file__).resolve().parent.parent
FILE = HOME / ".github" / "workflows" / "release.yml"
TEXT = FILE.read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(TEXT)
JOBS = WORKFLOW["jobs"]


def steps(job: str) -> list[dict]:
    return JOBS[job]["steps"]


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in steps(job))


def named(job: str, name: str) -> str:
    """The script of the step of this name."""
    return next(step["run"] for step in steps(job) if step.get("name") == name)


def test_a_version_tag_builds_then_tries_then_publishes():
    assert WORKFLOW[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads the key `on` as true
    assert {name: job.get("needs") for name, job in JOBS.items()} == {"build": None, "try": "build", "publish": "try"}


def test_source_and_wheel_are_built_and_checked_strictly():
    ran = commands("build")
    assert re.search(r"^python -m build$", ran, re.MULTILINE)  # without --wheel or --sdist: both
    assert "python -m twine check --strict dist/*" in ran
    assert ran.index("python -m build") < ran.index("twine check")


@pytest.mark.parametrize(("tag", "code"), [("v{}", 0), ("v9.9.9", 1), ("{}", 1)])
def test_a_tag_that_is_not_the_version_stops_the_release(tag, code, tmp_path):
    if sys.version_info < (3, 11) or sys.platform == "win32":
        pytest.skip("the step runs on Linux with Python 3.12")
    version = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    script = named("build", "The tag is the version").replace("python -c", f"{sys.executable} -c")
    environment = {"GITHUB_REF_NAME": tag.format(version), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=HOME, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert code == 0 or f"tag the commit v{version}" in done.stdout


@pytest.mark.parametrize(("size", "code"), [(95_000_000, 0), (95_000_001, 1)])
def test_a_wheel_over_95_mb_stops_the_release(size, code, tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("the step runs on Linux")
    (tmp_path / "dist").mkdir()
    with open(tmp_path / "dist" / "edgeseg-0-py3-none-any.whl", "wb") as wheel:
        wheel.truncate(size)  # sparse: takes no room
    script = named("build", "The wheel is at most 95 MB")
    assert subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, capture_output=True).returncode == code


def test_the_wheel_is_tried_alone_beside_its_dependencies():
    assert not any("actions/checkout" in step.get("uses", "") for step in steps("try"))
    ran = commands("try")
    order = [
        "-m venv fresh", "install -r dist/requirements.txt", "install --no-index --no-deps dist/*.whl",
        "fresh/bin/edgeseg weights verify", "fresh/bin/edgeseg predict street.jpg",
    ]  # fmt: skip
    assert [ran.index(part) for part in order] == sorted(ran.index(part) for part in order)
    assert "['project']['dependencies']" in commands("build")


def test_publishing_is_trusted_and_needs_no_secret():
    publish = JOBS["publish"]
    assert publish["environment"] == "pypi"
    assert publish["permissions"] == {"id-token": "write"}
    assert any(step.get("uses", "").startswith("pypa/gh-action-pypi-publish@") for step in steps("publish"))
    assert not any("run" in step and "pip" in step["run"] for step in steps("publish"))  # nothing foreign runs with it
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for name, job in JOBS.items() if name != "publish")
    assert "secrets." not in TEXT
    assert "password" not in TEXT
