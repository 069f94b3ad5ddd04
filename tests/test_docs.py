"""What the documentation says exists: files, commands, options, settings, versions."""

from __future__ import annotations

import ast
import functools
import itertools
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import facecycle_cli
from facecycle_cli.cli.app import SUMMARIES, app
from facecycle_cli.training.config import TrainConfig
from facecycle_cli.training.layers import parse_assignments, read_toml
from tests.conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
SCRIPTS = [ROOT / "examples" / "tour.sh", ROOT / "examples" / "clean_dataset.sh"]

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """The text without its fenced code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def inline_code(text: str) -> list[str]:
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(text))


# -- links -----------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(read(page)), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


@by_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(read(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_every_guide_is_in_the_contents():
    listed = set(re.findall(r"^([a-z]+)$", read(ROOT / "docs" / "index.md"), re.MULTILINE))
    assert listed == {page.stem for page in ROOT.glob("docs/*.md")} - {"index"}


# -- commands --------------------------------------------------------------------------------------


def commands_of(line: str) -> Iterator[list[str]]:
    """The arguments of every facecycle command in one line of shell."""
    line = re.sub(r"\$\{?\w+(:-[^}]*)?\}?", "1", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    segment: list[str] = []
    for token in [*lexer, ";"]:
        if set(token) <= set("();<>|&"):
            yield from command_in(segment)
            segment = []
        else:
            segment.append(token)


def command_in(words: list[str]) -> Iterator[list[str]]:
    for word in words:
        if word.startswith("facecycle "):  # quoted for another program
            yield from commands_of(word)
    for name in ("facecycle", "facecycle_cli"):
        if name in words:
            # xargs adds the inputs.
            yield words[words.index(name) + 1 :] + ["x.jpg"] * ("xargs" in words)


def shell_lines(text: str) -> list[str]:
    """The commands of console blocks: what follows a ``$``, with continued lines joined."""
    text = "\n".join(blocks(text, "console")).replace("\\\n", " ")
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


def script_lines(path: Path) -> list[str]:
    """The lines of a shell script that run facecycle."""
    lines = [line.strip() for line in read(path).replace("\\\n", " ").splitlines()]
    return [line for line in lines if re.match(r"(say )?facecycle ", line)]


def is_group(command: Any) -> bool:
    """Whether it is a group of commands; typer has a click of its own, whose classes differ."""
    return hasattr(command, "resolve_command")


def parse(arguments: list[str]) -> None:
    """Let the command that the arguments name take them, without running it."""
    command, name, parent = typer.main.get_command(app), "facecycle", None
    while is_group(command):
        # A group keeps what follows its own options for its commands.
        parent = command.make_context(name, [], parent=parent, resilient_parsing=True)
        name, command, arguments = command.resolve_command(parent, arguments)
    command.make_context(name, arguments, parent=parent)


def check_line(line: str) -> int:
    found = 0
    for arguments in commands_of(line):
        found += 1
        if arguments[:1] == ["--version"]:
            continue
        try:
            parse(arguments)
        except Exception as error:
            pytest.fail(f"{line}: {error!r}")
        check_settings([b for a, b in itertools.pairwise(arguments) if a == "--set"])
    return found


@by_page
def test_command_lines_parse(page):
    for line in shell_lines(read(page)):
        check_line(line)


def test_the_readme_shows_every_command():
    text = read(ROOT / "README.md")
    assert [name for name in SUMMARIES if f"facecycle {name}" not in text] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(script):
    assert sum(check_line(line) for line in script_lines(script)) >= 1


def test_the_workflow_parses():
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    if not workflow.is_file():
        pytest.skip("a source distribution has no workflow")
    assert sum(check_line(line) for line in script_lines(workflow)) == 2


@functools.cache
def leaf_commands() -> dict[str, Any]:
    """Every command that is no group, by its full name."""
    found: dict[str, Any] = {}

    def visit(command: Any, name: str, parent: Any) -> None:
        context = command.make_context(name, [], parent=parent, resilient_parsing=True)
        if not is_group(command):
            found[context.command_path] = command
            return
        for child in command.list_commands(context):
            visit(command.resolve_command(context, [child])[1], child, context)

    visit(typer.main.get_command(app), "facecycle", None)
    return found


def options_of(command: Any) -> set[str]:
    """Options by name, those that switch something off too (``--no-...``)."""
    return {o for parameter in command.params for o in (*parameter.opts, *parameter.secondary_opts)}


@by_page
def test_options_in_the_text_exist(page):
    commands = leaf_commands()
    known = {option for command in commands.values() for option in options_of(command)}
    known |= {"--help", "--version", "--install-completion", "--strict", "--nproc-per-node"}
    for code in inline_code(read(page)):
        named = [name for name in commands if f"{code} ".startswith(f"{name} ")]
        allowed = options_of(commands[named[0]]) if named else known
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code):
            assert option in allowed | {"--help", "--version"}, code
        if re.match(r"facecycle [a-z]", code):
            assert code.split()[1] in SUMMARIES, code


# -- settings of train -----------------------------------------------------------------------------


def check_settings(assignments: list[str]) -> None:
    if assignments:
        TrainConfig.from_layers(parse_assignments(assignments))


@by_page
def test_assignments_in_the_text_are_settings(page):
    for code in inline_code(read(page)):
        words = shlex.split(code) if "--set " in code else []
        found = [b for a, b in itertools.pairwise(words) if a == "--set"]
        check_settings([assignment for assignment in found if assignment != "KEY=VALUE"])


def setting_names(record: Any, prefix: str = "") -> Iterator[str]:
    for field in fields(record):
        value = getattr(record, field.name)
        yield f"{prefix}{field.name}"
        if is_dataclass(value):
            yield from setting_names(value, f"{prefix}{field.name}.")


def test_named_settings_exist():
    known = set(setting_names(TrainConfig()))
    page = read(ROOT / "docs" / "training.md")
    named = [
        code for code in inline_code(page) if re.fullmatch(r"(expression|identity)\.[\w.]+", code)
    ]
    assert len(named) > 15
    assert [name for name in named if name not in known] == []


def test_configurations_in_the_text_can_be_read(tmp_path):
    found = blocks(read(ROOT / "docs" / "training.md"), "toml")
    assert found
    for text in found:
        (tmp_path / "config.toml").write_text(text, encoding="utf-8")
        TrainConfig.from_layers(read_toml(tmp_path / "config.toml"))


# -- the package -----------------------------------------------------------------------------------


def test_the_tree_is_as_described():
    (tree,) = blocks(read(ROOT / "docs" / "architecture.md"), "text")
    package = Path(facecycle_cli.__file__).parent
    described = set()
    folder = package
    for line in tree.splitlines():
        entry = re.match(r"  (\w+/|\w+\.py) ", line)
        if entry and entry[1].endswith("/"):
            folder = package / entry[1]
            described.add(entry[1].rstrip("/"))
        elif entry:
            assert (package / entry[1]).is_file(), entry[1]
            continue
        elif not line.startswith("   "):
            continue
        inner, _, below = line.partition("data/ (")
        for name in re.findall(r"\b\w+\.py\b", inner):
            assert (folder / name).is_file(), f"{folder.name}/{name}"
        for name in re.findall(r"\b\w+\.py\b", below):
            assert (folder / "data" / name).is_file(), f"{folder.name}/data/{name}"
    assert described == {path.parent.name for path in package.glob("*/__init__.py")}


def test_files_that_contributors_are_sent_to_exist():
    text = read(ROOT / "CONTRIBUTING.md")
    named = re.findall(r"`((?:facecycle_cli|tests|docs|examples)/[\w/.]+)`", text)
    assert len(named) > 10
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_versions_agree():
    version = re.escape(facecycle_cli.__version__)
    assert re.search(rf"^version: {version}$", read(ROOT / "CITATION.cff"), re.MULTILINE)
    assert re.search(rf"^## \[{version}\]", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert "## [Unreleased]" in read(ROOT / "CHANGELOG.md")


def test_the_source_distribution_has_what_the_tests_read():
    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [name for name in included if not (ROOT / name[1:]).exists()] == []
    # README.md, LICENSE and pyproject.toml are always in it.
    needed = {"docs", "examples", "tests", "facecycle_cli", "constraints.txt", "Makefile"}
    needed |= {page.name for page in ROOT.glob("*.md")} - {"README.md"}
    assert needed <= {name[1:] for name in included}


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(read(path))):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield statement.lineno, value.value


def test_docstrings_have_one_markup():
    """Code in double backticks; single ones only with a role, or as a link."""
    wrong = []
    for path in sorted(Path(facecycle_cli.__file__).parent.rglob("*.py")):
        for line, text in docstrings(path):
            text = re.sub(r"``.+?``|`[^`<]+<[^`>]+>`_", "", text, flags=re.DOTALL)
            for found in re.findall(r"(?<![:\w`])`[^`]+`(?![_`])", text):
                wrong.append(f"{path.name}:{line}: {found}")
    assert wrong == []
