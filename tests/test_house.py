"""What a maintainer relies on: hosted checks are those of `.ci/run`, forms are forms, links lead on."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
FORMS = [path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.name != "config.yml"]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(GITHUB.rglob("*.md")),
]

WEB = ROOT / "vibe_app" / "web"
SCRIPTS = sorted([*WEB.rglob("*.js"), *WEB.rglob("*.jsx"), *(ROOT / "assets").glob("*.js")])
FILE, LINE, ALL = 120, 120, 450
"""Lines of a script, characters of a line, lines of all scripts: as many as there may be."""
IN_PYTHON, OTHERWISE = 265, 42
"""What Python may say to the browser by `js`, and by other ways."""
NAMED = "Name(id='hooks', ctx=Store())"
BY = ("rx.Var", "rx.call_script", "FunctionStringVar.create", "rx.vars.FunctionStringVar.create")
PRODUCT = re.compile(r"\b(task|card|session|project|board|workspace|agent|repository)s?\b", re.IGNORECASE)
"""What only the product has a word for; a name such as `sessionId` is a prop's."""
SHOWS = re.compile(r"=>|\b(const|function|await|return)\b|\b(document|window)\.")


def read(path: Path) -> Any:
    """Return what a YAML file says. Its `on` is a word here, not a yes as in YAML 1.1."""
    return {"on" if key is True else key: value for key, value in yaml.safe_load(path.read_text()).items()}


def called(job: dict[str, Any]) -> list[str]:
    """Return the targets of make that a job of the workflow calls, for each entry of its matrix."""
    entries = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
    commands = [step["run"] for step in job["steps"] if "run" in step]
    filled = [
        re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda found, entry=entry: entry.get(found[1], ""), command)
        for entry in entries
        for command in commands
    ]
    return [target for command in filled for target in re.findall(r"\bmake ([\w-]+)", command)]


def test_the_hosted_checks_call_the_targets_of_ci_run_and_these_exist():
    workflow = read(GITHUB / "workflows" / "ci.yml")
    targets = [target for job in workflow["jobs"].values() for target in called(job)]
    own = re.findall(r"^make ([\w-]+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    made = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert own
    assert sorted(targets) == sorted(own)
    assert set(targets) <= set(made)


def test_the_hosted_checks_may_read_and_nothing_more():
    workflow = read(GITHUB / "workflows" / "ci.yml")
    assert set(workflow["on"]) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60
        used = [step for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in used)
        checkout = next(step for step in used if step["uses"].startswith("actions/checkout@"))
        assert checkout["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one(path: Path):
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids)
    for field in fields:
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]
        assert field["type"] != "dropdown" or field["attributes"]["options"]
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_a_bug_is_reported_with_what_one_needs_to_see_it():
    fields = {field.get("id") for field in read(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")["body"]}
    assert {"happened", "doctor", "version", "runtime"} <= fields


def headings(path: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    found = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    for link in links:
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


def test_every_report_that_was_tried_names_tests_that_there_are():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "reports.md").read_text()))
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named - set(re.findall(r"def (test_\w+)\(", tests)) == set()
    assert len(named) > 80


def test_the_upgrade_notes_know_every_revision():
    table = re.findall(r"^\| (\d{4}) \|", (ROOT / "RELEASE.md").read_text(), re.MULTILINE)
    revisions = sorted(path.name[:4] for path in (ROOT / "alembic" / "versions").glob("*.py"))
    assert table == revisions, "Each migration has a line under Upgrade notes in RELEASE.md"


def test_types_are_strict_in_every_package_but_the_pages():
    strict = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["basedpyright"]["strict"]
    packages = {f"vibe_app/{path.parent.name}" for path in (ROOT / "vibe_app").glob("*/__init__.py")}
    assert set(strict) == packages - {"vibe_app/web"} | {"vibe_app/*.py"}


def test_the_version_is_a_number_and_the_changelog_has_room_for_the_next():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()
    assert project["license"] in (ROOT / "LICENSE").read_text()


def faults(script: Path) -> Iterator[str]:
    """Say in what a script is more than a thin wrapper of a library."""
    text = script.read_text()
    first = text.partition("\n")[0]
    packages = re.findall(r"""from "((?:@[\w.-]+/)?[\w.-]+)""", text)
    if len(text.splitlines()) > FILE:
        yield f"longer than {FILE} lines"
    if any(len(line) > LINE for line in text.splitlines()):
        yield f"a line longer than {LINE} characters"
    if not first.startswith("// ") or not any(each in first for each in [*packages, "No library"]):
        yield "its first line does not name its library"
    if words := set(PRODUCT.findall(text)):
        yield f"product words: {sorted(words)}"
    if "/api/" in text or "fetch(" in text:
        yield "asks the server"
    if not list((ROOT / "tools" / "js" / "tests").glob(f"{script.stem}.test.*")):
        yield "has no tests"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_javascript_wraps_libraries_and_knows_nothing_of_the_product(script: Path):
    assert list(faults(script)) == []


def test_there_is_little_javascript():
    assert sum(len(script.read_text().splitlines()) for script in SCRIPTS) <= ALL


def test_the_documents_count_the_scripts_as_they_are():
    text = (ROOT / "docs" / "development.md").read_text()
    lines = {script.name: len(script.read_text().splitlines()) for script in SCRIPTS}
    told = re.findall(r"(\d+), `(?:assets/|kit/)?([\w.]+\.jsx?)`", text)
    assert {name: int(count) for count, name in told} == lines
    assert f"now there are {sum(lines.values())}:" in text


def lines_for_the_browser(path: Path) -> int:
    """Count the expressions and hooks that a module says to the browser; each is a line of JavaScript."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "js"]
    given = [each for call in made for each in (*call.args, *(word.value for word in call.keywords))]
    given += [node.value for node in nodes if isinstance(node, ast.Assign) and NAMED in ast.dump(node)]
    return len(made) + sum(len(each.elts) for each in given if isinstance(each, ast.Tuple))


def test_what_python_says_to_the_browser_is_little_and_told():
    count = sum(lines_for_the_browser(path) for path in WEB.rglob("*.py"))
    assert count <= IN_PYTHON
    assert f"Python holds {count} expressions and hooks" in (ROOT / "docs" / "development.md").read_text()


def texts_for_the_browser(path: Path) -> int:
    """Count what a module says to the browser without `js`, but for plain names such as `undefined`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    said = [call.args[0] for call in calls if ast.unparse(call.func) in BY and call.args]
    return sum(not (isinstance(each, ast.Constant) and str(each.value).isidentifier()) for each in said)


def test_what_reaches_the_browser_otherwise_is_little_and_told():
    count = sum(texts_for_the_browser(path) for path in WEB.rglob("*.py") if path.name != "hooks.py")
    assert count <= OTHERWISE
    assert f"Another {count} texts reach it" in (ROOT / "docs" / "development.md").read_text()


def test_no_program_in_javascript_hides_in_a_text_of_the_pages():
    for path in WEB.rglob("*.py"):
        tree = ast.parse(path.read_text())
        said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in said:
                assert node.value.count("\n") < 2 or not SHOWS.search(node.value), f"{path}:{node.lineno}"


def test_what_checks_the_scripts_knows_the_libraries_that_they_wrap():
    locked = json.loads((ROOT / "reflex.lock" / "package.json").read_text())["dependencies"]
    checked = json.loads((ROOT / "tools" / "js" / "package.json").read_text())["dependencies"]
    assert checked.items() <= locked.items()
