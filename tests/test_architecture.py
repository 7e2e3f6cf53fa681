"""The house rules, read from the imports: floors point down, floor 0 stands alone, no method knows the evaluator."""

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "latentry"

FLOORS = {
    "numerics": 0,
    "names": 0,
    "network_outputs": 1,
    "array_files": 1,
    "display": 1,
    "interfaces": 1,
    "holding": 1,
    "memory": 1,
    "paths": 1,
    "ranges": 1,
    "records": 1,
    "storage": 1,
    "priors": 2,
    "generators": 2,
    "networks": 2,
    "training": 3,
    "models": 4,
    "latent": 4,
    "evaluation": 4,
    "data": 5,
    "reports": 5,
    "testing": 5,
    "tasks": 6,
    "directions": 7,
    "measurements": 7,
    "metrics": 7,
    "operators": 7,
    "regularizers": 7,
    "encoders": 7,
    "results": 7,
    "settings": 7,
    "solvers": 7,
    "web": 7,
    "cli": 8,
    "__main__": 9,
}
SETTINGS = (
    "ranges",
    "settings",
    "latent.settings",
    "models.settings",
    "tasks.coding.settings",
    "tasks.convert.settings",
    "tasks.decompose.settings",
    "tasks.edit.settings",
    "tasks.evaluate.settings",
    "tasks.prior.settings",
    "tasks.recover.settings",
    "tasks.sample.settings",
    "tasks.settings",
    "tasks.study.settings",
    "tasks.train_settings",
    "training.settings",
)
"""Torch-free modules that the command line reads before any task runs."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> set[str]:
    """Modules of latentry that a file imports, wherever in the file, as paths below the package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor they reach"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found.update(name.removeprefix("latentry.") for name in names if name.startswith("latentry."))
    return found


def external_imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def offences(importer: str, imported: str) -> bool:
    """Whether this import points up, or sideways to another part of the same floor."""
    here, there = importer.split(".")[0], imported.split(".")[0]
    return here != there and FLOORS[there] >= FLOORS[here]


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_point_down(path: Path) -> None:
    name = dotted(path)
    if name == "":
        return  # the package's front door opens on every floor
    assert name.split(".")[0] in FLOORS, f"{name} stands on no floor; give it one here and in the README"
    assert not [imported for imported in imports(path) if offences(name, imported)]


def test_the_rule_can_fail() -> None:
    assert offences("numerics.distances", "priors.univariate")
    assert offences("latent.recovery", "evaluation.codes")
    assert not offences("tasks.study.run", "latent.recovery")
    assert not offences("priors.iid", "priors.univariate")


def module_names() -> dict[str, Path]:
    return {dotted(path): path for path in modules()}


def imported_files(path: Path, names: Mapping[str, Path]) -> set[str]:
    """Files of latentry that a file imports: the longest part of each import that is a file."""
    found = set()
    for imported in imports(path):
        name = imported
        while name not in names:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {dotted(path)}


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of files that import each other, directly or round several corners."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, waiting = set(), list(graph[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(graph[name])
        reached[start] = seen
    groups = {frozenset(name for name in reached[start] if start in reached[name]) for start in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def test_no_two_files_import_each_other() -> None:
    names = module_names()
    assert cycles({name: imported_files(path, names) for name, path in names.items() if name} | {"": set()}) == []


def own_packages(name: str, path: Path, names: Mapping[str, Path]) -> set[str]:
    """Packages around a file whose `__init__` it imports."""
    return {package for package in imported_files(path, names) if package and name.startswith(f"{package}.")}


def test_no_file_imports_the_package_that_it_stands_in() -> None:
    names = module_names()
    found = {name: own for name, path in names.items() if (own := own_packages(name, path, names))}
    assert found == {"cli.__main__": {"cli"}}  # `python -m latentry.cli`


def test_the_rules_inside_packages_can_fail() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert cycles({"a": {"b"}, "b": set()}) == []


def test_interfaces_holds_protocols_alone() -> None:
    tree = ast.parse((PACKAGE / "interfaces.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    for node in classes:
        assert "Protocol" in {ast.unparse(base) for base in node.bases}
        methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
        assert not [method.name for method in methods if len(method.body) > 1 or not ast.get_docstring(method)]


@pytest.mark.parametrize("path", sorted((PACKAGE / "numerics").glob("*.py")), ids=dotted)
def test_numerics_knows_no_network_and_no_file(path: Path) -> None:
    reached = external_imports(path)
    assert not [
        name for name in reached if name.startswith(("torch.nn", "torch.distributions", "pathlib", "latentry.storage"))
    ]
    calls = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not calls & {"rand", "randn", "normal_", "uniform_", "open"}, "numerics draws no noise and opens no file"


def names_and_texts(path: Path) -> set[str]:
    """Identifiers and strings of a file, docstrings left out."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return (names | texts) - docstrings


def test_the_evaluation_classifier_reaches_no_method() -> None:
    """Only reports may name the shipped evaluation classifiers: no file below the tasks does, and of the tasks few."""
    knowing = {dotted(path) for path in modules() if any("-evaluator" in text for text in names_and_texts(path))}
    assert knowing == {
        "tasks.study.run",
        "tasks.evaluate.settings",
        "tasks.evaluation_classifier",  # of the headlines of `edit` and `decompose`
    }


@pytest.mark.parametrize("statement", ["import latentry.cli; latentry.cli.main(['--help'])", "import latentry"])
def test_help_does_not_import_torch(statement: str) -> None:
    code = f"import sys; {statement}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_import_no_torch(name: str) -> None:
    path = PACKAGE / (name.replace(".", "/") + ".py")
    assert not [imported for imported in external_imports(path) if imported.startswith("torch")]


OF_THE_PROCESS = {
    "numpy.random.seed",
    "random.seed",
    "torch.set_anomaly_enabled",
    "torch.set_default_device",
    "torch.set_default_dtype",
    "torch.set_num_interop_threads",
    "torch.set_num_threads",
    "torch.use_deterministic_algorithms",
    "warnings.filterwarnings",
    "warnings.resetwarnings",
    "warnings.simplefilter",
}
"""What changes the whole process for good; filters of warnings may be set within `catch_warnings`."""


def changes_of_the_process(tree: ast.AST) -> list[str]:
    contained = {
        id(call)
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and any("catch_warnings" in ast.unparse(item) for item in node.items)
        for call in ast.walk(node)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and id(node) not in contained]
    names = [ast.unparse(call.func).replace("np.", "numpy.", 1) for call in calls]
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return [*(set(names) & OF_THE_PROCESS), *({"random"} & (imported | modules))]


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_nothing_changes_the_process_for_good(path: Path) -> None:
    assert changes_of_the_process(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "text", ["torch.set_num_threads(1)", "import random", "from random import seed", "warnings.simplefilter('ignore')"]
)
def test_the_rule_of_the_process_can_fail(text: str) -> None:
    assert changes_of_the_process(ast.parse(text))
    assert not changes_of_the_process(ast.parse("with warnings.catch_warnings():\n    warnings.simplefilter('ignore')"))


def test_no_test_imports_what_is_private() -> None:
    found = [
        f"{path.name}: {alias.name}"
        for path in sorted(Path(__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert not found
