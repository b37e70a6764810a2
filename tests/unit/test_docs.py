"""Documentation that cannot rot: what the code offers is what the documents name, and the other way round."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from serving import errors
from serving.metrics import Metrics
from serving.policy import load_policy
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
TEXT = {page: page.read_text() for page in PAGES}
EVERYTHING = "\n".join(TEXT.values())
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
HTTP_API = (ROOT / "docs" / "http-api.md").read_text()


def problems(root: type[errors.Problem]) -> list[type[errors.Problem]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in problems(child))]


def metrics() -> list[Metric]:
    return list(Metrics().registry.collect())


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    variable = "REDIS_URL" if name == "redis_url" else f"WEIR_{name.upper()}"
    assert f"`{variable}`" in OPERATIONS


@pytest.mark.parametrize("metric", metrics(), ids=lambda metric: metric.name)
def test_every_metric_is_documented(metric: Metric) -> None:
    suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
    assert f"`{metric.name}{suffix}`" in OPERATIONS


def test_every_metric_in_the_documents_exists() -> None:
    known = {metric.name for metric in metrics()}
    named = {
        re.sub(r"_(total|info|bucket|sum|count)$", "", name) for name in re.findall(r"`(weir_[a-z_]+)`", EVERYTHING)
    }
    assert named <= known


@pytest.mark.parametrize("problem", sorted({p.type for p in problems(errors.Problem)}))
def test_every_problem_type_is_documented(problem: str) -> None:
    assert problem in HTTP_API


def test_every_make_target_in_the_documents_exists_and_every_target_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", EVERYTHING))
    assert named <= targets
    assert targets == set(re.findall(r"^([a-z][a-z-]*):.*## ", makefile, re.MULTILINE))


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)+)", EVERYTHING))))
def test_every_command_in_the_documents_exists(module: str) -> None:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert '__name__ == "__main__"' in Path(spec.origin).read_text()


@pytest.mark.parametrize(
    ("page", "target"),
    [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", TEXT[page])],
    ids=str,
)
def test_every_link_between_documents_leads_somewhere(page: Path, target: str) -> None:
    assert (page.parent / target).exists()


@pytest.mark.parametrize("tier", ["anonymous", "authenticated", "internal"])
def test_the_readme_states_the_limits_that_the_policy_sets(tier: str) -> None:
    limits = load_policy(ROOT / "serving" / "policy.yaml").tier(tier).limits
    assert re.search(rf"\| {tier} \| {limits.requests_per_minute} \| {limits.burst} \|", TEXT[ROOT / "README.md"])
