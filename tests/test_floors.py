"""The floors of docs/architecture.md: a module imports from below its own room, or from within."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import smtpcheck

PACKAGE = Path(smtpcheck.__file__).parent

# Room or top-level module, its floor, and what of the outside it must not import.
NOBODY = ("asyncio", "ssl", "socket")
FLOORS: dict[str, tuple[float, tuple[str, ...]]] = {
    "": (0, NOBODY),
    "blame": (0, NOBODY),
    "wire": (0, (*NOBODY, "time")),
    "sasl": (0, NOBODY),
    "facts": (1, ("asyncio", "ssl", "socket", "time", "msgspec")),
    "limits": (1, NOBODY),
    "codec": (1.5, NOBODY),
    "compose": (1.5, NOBODY),
    "redact": (1.5, NOBODY),
    "policy": (2, (*NOBODY, "dns", "time")),
    "net": (3, ("click", "rich")),
    "judge": (3, (*NOBODY, "dns", "click", "rich", "time", "OpenSSL", "cryptography", "msgspec")),
    "observe": (4, ("click", "rich")),
    "relay": (4, ("click", "rich")),
    "render": (5, ("asyncio", "socket", "ssl", "click", "dns", "aiosmtplib")),
    "send": (5, ("click", "rich")),
    "cli": (6, ()),
    "__main__": (7, ()),
}

# Against the order of floors, or beside it: never, whatever the numbers say.
NEVER: dict[str, set[str]] = {
    "facts": {"net", "judge"},
    "codec": {"net", "judge"},
    "policy": {"net", "observe", "relay"},
    "net": {"judge", "observe", "relay"},
    "judge": {"net", "observe", "relay", "codec", "compose", "redact"},
    "observe": {"judge", "relay", "render"},
    "relay": {"judge", "observe", "render"},
    "render": {"net", "observe", "relay"},
    "send": {"judge", "render"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in ("smtpcheck", *parts) if part != "__init__")


def room_of(module: str) -> str:
    return [*module.split("."), ""][1] if module.startswith("smtpcheck") else ""


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            if node.module == "smtpcheck":
                yield from (f"smtpcheck.{alias.name}" for alias in node.names)
            else:
                yield node.module


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@each_module
def test_every_module_has_a_floor(path: Path) -> None:
    assert room_of(name_of(path)) in FLOORS


@each_module
def test_imports_go_down(path: Path) -> None:
    room = room_of(name_of(path))
    for imported in imports(path):
        other = room_of(imported)
        if imported.startswith("smtpcheck.") and other in FLOORS and other != room:
            assert FLOORS[other][0] < FLOORS[room][0], f"{room} imports {imported}"
            assert other not in NEVER.get(room, set()), f"{room} imports {imported}"


@each_module
def test_the_outside_stays_outside(path: Path) -> None:
    room = room_of(name_of(path))
    outside = {name.partition(".")[0] for name in imports(path)} - {"smtpcheck"}
    assert not outside & set(FLOORS[room][1])


def test_the_table_would_notice(tmp_path: Path) -> None:
    """The parser sees imports within functions and of names of the package."""
    module = tmp_path / "module.py"
    module.write_text("def f():\n    import ssl\nfrom smtpcheck import net\nimport a.b\n")
    assert set(imports(module)) == {"ssl", "smtpcheck.net", "a.b"}
