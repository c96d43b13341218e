"""What the house promises of itself: no file imports in a circle, none is too long, and its words are plain."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "mer_pipeline").rglob("*.py"))
}
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
# Words that make a program a person, or people a riddle.
WORDS = re.compile(r"\b(tells?|told|nobody|whoever)\b", re.IGNORECASE)
PAGES = sorted(
    path
    for folder, pattern in (("mer_pipeline", "*.py"), ("mer_pipeline", "*.html"), ("models", "*.md"), ("docs", "*.md"))
    for path in (ROOT / folder).rglob(pattern)
)
PAGES += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def imports(module: str) -> set[str]:
    """The modules of the package that a module imports, wherever in it; but those that only types need."""
    found: set[str] = set()
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    typing = {
        id(part)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for part in ast.walk(block)
    }
    for part in ast.walk(tree):
        if isinstance(part, ast.ImportFrom) and part.module and id(part) not in typing:
            names = {f"{part.module}.{name.name}" for name in part.names}
            found |= {name if name in FILES else part.module for name in names}
    return {name for name in found if name in FILES and name != module}


def test_no_file_imports_in_a_circle():
    graph = {module: imports(module) for module in FILES}
    assert len(graph) > 150
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES)  # raises CycleError, which names the circle


def test_no_room_imports_in_a_circle():
    rooms: dict[str, set[str]] = {}
    for module in FILES:
        room = ".".join(module.split(".")[:2])
        rooms.setdefault(room, set()).update(".".join(name.split(".")[:2]) for name in imports(module))
    graph = {room: others - {room, "mer_pipeline"} for room, others in rooms.items() if room != "mer_pipeline"}
    assert len(list(TopologicalSorter(graph).static_order())) > 20


@pytest.mark.parametrize("module", FILES)
def test_files_and_functions_stay_short(module):
    text = FILES[module].read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    functions = [part for part in ast.walk(ast.parse(text)) if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {part.name: (part.end_lineno or 0) - part.lineno + 1 for part in functions}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_the_name_of_a_type_has_one_meaning():
    places: dict[str, list[str]] = {}
    for module, path in FILES.items():
        for part in ast.parse(path.read_text(encoding="utf-8")).body:
            target = part.targets[0] if isinstance(part, ast.Assign) else getattr(part, "target", None)
            name = part.name if isinstance(part, ast.ClassDef) else getattr(target, "id", "")
            if name[:1].isupper() and not name.isupper():
                places.setdefault(name, []).append(module)
    # The options of a command are called after its flags, which several commands have.
    inside = {name: [each for each in found if ".cli." not in each] for name, found in places.items()}
    assert {name: found for name, found in inside.items() if len(found) > 1} == {}


# A room's own reading of JSON, and keyword arguments that go through to another process.
MAY_BE_ANY = {
    "mer_pipeline.faces.face_mesh.models: read_record",
    "mer_pipeline.inference.many: PredictedAhead",
}


def signatures(module: str) -> dict[str, str]:
    """The annotations of what a module shows: fields of its classes, arguments and results of functions and methods."""
    found: dict[str, str] = {}
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    for owner in [tree, *(part for part in tree.body if isinstance(part, ast.ClassDef))]:
        name = getattr(owner, "name", "")
        for part in [] if name.startswith("_") else owner.body:
            if isinstance(part, ast.FunctionDef) and (part.name == "__init__" or not part.name.startswith("_")):
                label = name if part.name == "__init__" else part.name
                found[label] = f"{ast.unparse(part.args)} {ast.unparse(part.returns) if part.returns else ''}"
            elif isinstance(part, ast.AnnAssign) and isinstance(owner, ast.ClassDef):
                found[f"{name}.{ast.unparse(part.target)}"] = ast.unparse(part.annotation)
    return found


def test_between_rooms_go_no_mappings_of_anything():
    rooms = [module for module in FILES if not module.startswith(("mer_pipeline.cli", "mer_pipeline.reading"))]
    found = {
        f"{module}: {name}"
        for module in rooms
        for name, text in signatures(module).items()
        if re.search(r"\b(dict|Mapping)\[str, Any\]", text)
    }
    assert found == MAY_BE_ANY


@pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_words_are_plain(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {line.strip()}" for number, line in enumerate(lines, 1) if WORDS.search(line)] == []
