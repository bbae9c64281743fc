"""What the example's pipelines run: the command lines of a GitHub workflow and of a GitLab pipeline, in their order."""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "examples" / "04-ci"
GITHUB, GITLAB = FOLDER / ".github" / "workflows" / "mesh.yaml", FOLDER / ".gitlab-ci.yml"


def github() -> dict[str, Any]:
    """The workflow; `on` is a word to its readers, and true to YAML 1.1."""
    return dict(yaml.load(GITHUB.read_text(encoding="utf-8"), Loader=yaml.BaseLoader))  # noqa: S506 - plain text alone


def gitlab() -> dict[str, Any]:
    """The pipeline."""
    return dict(yaml.safe_load(GITLAB.read_text(encoding="utf-8")))


def steps() -> list[dict[str, Any]]:
    """The steps of the workflow's one job."""
    (job,) = github()["jobs"].values()
    return list(job["steps"])


def jobs() -> dict[str, dict[str, Any]]:
    """The jobs of the pipeline in the order of its stages."""
    found = {name: one for name, one in gitlab().items() if isinstance(one, dict) and "script" in one}
    stages = gitlab()["stages"]
    return dict(sorted(found.items(), key=lambda item: stages.index(item[1]["stage"])))


def commands() -> dict[str, list[str]]:
    """Every line of each that calls meshpki."""
    lines = {
        "github": [line for step in steps() for line in step.get("run", "").splitlines()],
        "gitlab": [line for job in jobs().values() for line in job["script"]],
    }
    return {name: [line for line in found if line.startswith("meshpki ")] for name, found in lines.items()}
