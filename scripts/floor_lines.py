"""Print the floors of the package, highest first, with the lines of Python of each part: the tree that stands in README.

python scripts/floor_lines.py
"""

import ast
import re
import sys
from pathlib import Path

__all__ = ["floors", "meaning", "python_lines", "shown", "tree"]

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "latentry"
_NAMES = 7
"""The floor of the modules that only gather names for users."""


def floors() -> dict[str, int]:
    """The floor of each part of the package, from the test that keeps it."""
    for node in ast.parse((ROOT / "tests" / "test_architecture.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FLOORS":
            return {str(name): int(floor) for name, floor in ast.literal_eval(node.value).items()}
    raise LookupError("tests/test_architecture.py has no FLOORS")


def python_lines(part: str) -> int:
    """Lines of Python of a part: a folder of the package, or a file at its top."""
    files = [*(PACKAGE / part).rglob("*.py"), *PACKAGE.glob(f"{part}.py")]
    return sum(len(file.read_text().splitlines()) for file in files)


def meaning(part: str) -> str:
    """What a folder is for: the beginning of its docstring, without the number of the floor."""
    text = ast.get_docstring(ast.parse((PACKAGE / part / "__init__.py").read_text())) or ""
    return re.split(r"[.:;]( |$)", re.sub(r"^Floor \w+: ", "", text.split("\n\n")[0].replace("\n", " ")))[0]


def tree() -> list[tuple[int, str, int, str]]:
    """Floor, part, lines and meaning of each part, highest floor first; files at the top of the package are two parts."""
    parts = [(floor, part) for part, floor in floors().items() if (PACKAGE / part).is_dir()]
    rows = [(floor, part, python_lines(part), meaning(part)) for floor, part in parts]
    files = [path.stem for path in sorted(PACKAGE.glob("*.py"))]
    names = [name for name in files if floors().get(name) == _NAMES]
    others = [name for name in files if name not in names]
    rows += [
        (_NAMES, "*.py", sum(map(python_lines, names)), f"what users import: {', '.join(names)}"),
        (1, "*.py", sum(map(python_lines, others)), f"{len(others)} files that several floors share"),
    ]
    return sorted(rows, key=lambda row: (-row[0], row[1] == "*.py", row[1]))


def shown() -> str:
    """The tree as text."""
    return "\n".join(f"{floor}  {part:<12}{lines:>6,}  {what}" for floor, part, lines, what in tree())


def main() -> None:
    text = shown()
    print(text)
    print(f"   {'together':<12}{sum(lines for _, _, lines, _ in tree()):>6,}")
    if "--write" in sys.argv[1:]:
        readme = ROOT / "README.md"
        block = re.compile(r"(?<=```\n)8  cli .*?(?=\n```)", re.DOTALL)
        readme.write_text(block.sub(lambda _: text, readme.read_text(), count=1))


if __name__ == "__main__":
    main()
