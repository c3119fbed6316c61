"""What the pages promise exists: links, commands, verbs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from typer.main import get_command

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in {"sweeps", "peers"} for part in path.relative_to(ROOT).parts)
)
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_0-9]+=\S+ )*(make|axk8s)((?: +[a-z][a-z-]*(?!\S))?)", re.MULTILINE)
"""`make` or `axk8s` where a command begins, with its first word, if that is neither an option nor an assignment."""


def tokens(path: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text()):
        yield token
        yield from token.children or ()


def links(path: Path) -> list[str]:
    targets = [token.attrGet("href") or token.attrGet("src") for token in tokens(path)]
    return [str(target) for target in targets if target]


def anchors(path: Path) -> set[str]:
    """The names under which a reader can jump to the page's headings, made as GitHub makes them."""
    flow = list(tokens(path))
    titles = [flow[index + 1].content for index, token in enumerate(flow) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(path: Path) -> set[tuple[str, str]]:
    """(program, first word) of what the page tells its reader to type."""
    code = [token.content for token in tokens(path) if token.type in {"fence", "code_block", "code_inline"}]
    return {(match[1], match[2].strip()) for text in code for match in COMMAND.finditer(text)}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def verbs() -> set[str]:
    from axk8s.cli.app import app

    return set(getattr(get_command(app), "commands", {}))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    dead = []
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = page.parent / unquote(parts.path) if parts.path else page
        if not target.exists() or (parts.fragment and parts.fragment not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_exists(page: Path) -> None:
    known = {("make", target) for target in make_targets()} | {("axk8s", verb) for verb in verbs()}
    assert {(program, word) for program, word in commands(page) if word} - known == set()


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text().splitlines()) <= 130
    assert {("make", "demo"), ("make", "test")} <= commands(readme)


def test_every_verb_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert [verb for verb in sorted(verbs()) if f"axk8s {verb}" not in text] == []


def test_the_changelog_has_an_unreleased_section() -> None:
    assert "unreleased" in anchors(ROOT / "CHANGELOG.md")
