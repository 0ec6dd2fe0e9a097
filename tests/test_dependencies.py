"""Dependencies point one way: flows -> tasks -> voiceflow_model, and nothing of Prefect reaches the library."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"voiceflow_model": {"prefect", "flows", "tasks"}, "tasks": {"flows"}}


def imported(source: Path) -> set[str]:
    """Top-level names that a module imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_dependencies_point_one_way(package):
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    wrong = {str(m.relative_to(ROOT)): sorted(imported(m) & FORBIDDEN[package]) for m in modules}
    assert {module: names for module, names in wrong.items() if names} == {}
