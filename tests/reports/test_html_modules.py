"""The scripts of the page: what each imports and exports, and that they make one script without either.

These rules are checked here and not by eslint, so that they are checked wherever the tests run, with Python alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from graphlib import CycleError
from pathlib import Path

import pytest

from sanitizer.reports.html import build
from sanitizer.reports.html.bundle import bundle

APP = Path(build.__file__).parent / "app"
ENTRIES = ("page", "probe_page")
MODULES = sorted(path.stem for path in APP.glob("*.js"))

_IMPORT = re.compile(r'^import \{([^{}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)
_DECLARED = re.compile(r"^(export )?(?:const|let|(?:async )?function) (\w+)", re.MULTILINE)
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<regex>(?:(?<=[(,=:?&|!])|(?<=return))[ ]?/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*)
      | (?P<key>[\w$]+(?=:))
      | (?P<name>(?:(?<![.\w$])|(?<=\.\.\.))[A-Za-z_$][\w$]*)
      | (?P<mark>[`{}])""",
    re.VERBOSE | re.DOTALL,
)
_TEXT = re.compile(r"(?:\\.|\$(?!\{)|[^`\\$])*", re.DOTALL)

_BUILT_IN = """
async await catch const continue else export false for function if let new null of return true try typeof undefined
while Array BigInt Blob Boolean Infinity Intl JSON Map Math Number Object ResizeObserver Set String TextDecoder
Uint8Array URL URLSearchParams addEventListener clearTimeout document encodeURIComponent history innerHeight
localStorage location matchMedia navigator requestAnimationFrame scrollTo scrollY setTimeout
"""
"""Keywords, and what the language and browsers bring, as far as the modules use them."""


@cache
def source(module: str) -> str:
    return (APP / f"{module}.js").read_text("utf-8")


def imports(module: str) -> dict[str, str]:
    """Imported name to the module that it comes from."""
    found = {}
    for names, origin in _IMPORT.findall(source(module)):
        for name in filter(None, (name.strip() for name in names.split(","))):
            assert re.fullmatch(r"\w+", name), f"{module}.js: '{name}' would need another name in the bundle"
            found[name] = origin
    return found


def declared(module: str, exported: bool = False) -> list[str]:
    return [name for export, name in _DECLARED.findall(source(module)) if export or not exported]


def names_used(text: str) -> Counter[str]:
    """How often code has each identifier or keyword: without properties, keys of objects, text and comments."""
    found, at, open_braces = Counter[str](), 0, list[str]()
    while match := _TOKEN.search(text, at):
        at = match.end()
        if match["name"]:
            found[match["name"]] += 1
        elif match["mark"] == "{":
            open_braces.append("{")
        elif match["mark"]:
            in_text = match["mark"] == "`" or (open_braces and open_braces.pop() == "${")
            if in_text:  # of a template: it goes on to the next expression, or to its end
                at = _TEXT.match(text, at).end()
                if text.startswith("${", at):
                    open_braces.append("${")
                    at += 2
                else:
                    at += 1
    return found


@cache
def used(module: str) -> Counter[str]:
    return names_used(_IMPORT.sub("", source(module)))


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("a.b(c, { d: e, f })", {"a", "c", "e", "f"}),
        ("[...a, ...b.c]", {"a", "b"}),
        ("`a ${b} c ${`d ${e}`} {f} $g`; h", {"b", "e", "h"}),
        ("`${a ? `b` : { c: d }}` // e\n/* f */ g", {"a", "d", "g"}),
        ("a.test(/[\"'`{]b/g) && 'c' + \"d\" + x", {"a", "x"}),
        ("a / b / c", {"a", "b", "c"}),
        ("x = /[a]b/; f(x ? /d/ : y)", {"x", "f", "y"}),
    ],
)
def test_names_that_code_uses(code: str, names: set[str]) -> None:
    assert names_used(code).keys() == names


@pytest.mark.parametrize("module", MODULES)
class TestModule:
    def test_has_imports_of_one_form(self, module: str) -> None:
        lines = [line for line in source(module).splitlines() if re.match(r"\s*(import|export)\b", line)]
        assert len(_IMPORT.findall(source(module))) == sum(line.startswith("import") for line in lines)
        assert len(declared(module, exported=True)) == sum(line.startswith("export") for line in lines)

    def test_imports_what_is_exported_and_uses_it(self, module: str) -> None:
        for name, origin in imports(module).items():
            assert name in declared(origin, exported=True), f"{origin}.js does not export {name}"
            assert name in used(module), f"{name} is imported, and not used"

    def test_exports_what_others_import(self, module: str) -> None:
        wanted = {name for other in MODULES for name, origin in imports(other).items() if origin == module}
        assert set(declared(module, exported=True)) == wanted

    def test_imports_all_that_it_uses_of_others(self, module: str) -> None:
        """No local name is that of an export either, so that such a name means one thing in the whole page."""
        others = {name for other in MODULES if other != module for name in declared(other, exported=True)}
        assert used(module).keys() & others == imports(module).keys()

    def test_declares_and_uses_each_other_name(self, module: str) -> None:
        known = {*_BUILT_IN.split(), *imports(module), *declared(module, exported=True)}
        once = {name for name, n_times in used(module).items() if n_times == 1}
        assert not once - known, "a name that occurs only once is misspelt, or not used"

    def test_is_part_of_a_page(self, module: str) -> None:
        assert any(source(module).splitlines()[-1] in bundle(APP, entry) for entry in ENTRIES)


def test_no_name_is_declared_twice() -> None:
    names = [name for module in MODULES for name in declared(module)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("entry", ENTRIES)
class TestBundle:
    def test_has_each_module_after_those_that_it_imports(self, entry: str) -> None:
        text = bundle(APP, entry)
        present = [m for m in MODULES if source(m).splitlines()[0] + "\n" in text]
        places = {m: text.index(source(m).splitlines()[0] + "\n") for m in present}
        assert all(places[origin] < places[m] for m in present for origin in imports(m).values())

    def test_is_a_strict_script_without_imports_and_exports(self, entry: str) -> None:
        text = bundle(APP, entry)
        assert text.startswith('"use strict";\n')
        assert not re.search(r"^\s*(import|export)\b", text, re.MULTILINE)

    @pytest.mark.skipif(not shutil.which("node"), reason="needs node")
    def test_is_valid(self, entry: str, tmp_path: Path) -> None:
        (tmp_path / "page.js").write_text(bundle(APP, entry), "utf-8")
        checked = subprocess.run(["node", "--check", tmp_path / "page.js"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def test_only_a_page_with_a_probe_has_its_modules() -> None:
    assert "PROBE" not in bundle(APP, "page") and "const PROBE" in bundle(APP, "probe_page")


def test_a_circle_of_modules_is_an_error(tmp_path: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        (tmp_path / f"{name}.js").write_text(
            f'import {{ {other} }} from "./{other}.js";\nexport const {name} = 1;\n'
        )
    with pytest.raises(CycleError):
        bundle(tmp_path, "one")
