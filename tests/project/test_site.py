"""The documentation as a reader has it: built without a warning, no link dead, nothing fetched.

Where Chromium is installed, every page is opened in it: as a file, at two widths, light and dark.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page, sync_playwright

from engine_store_contracts.clauses import CLAUSES, is_clause

pytestmark = pytest.mark.xdist_group("site")  # one worker, so that it is built once

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

FETCHED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "srcset"}
"""What a browser fetches by itself."""


@pytest.fixture(scope="session")
def site(run, tmp_path_factory) -> Path:
    """The site, as `make docs` builds it; a warning fails the build."""
    folder = tmp_path_factory.mktemp("site")
    assert run("make", "docs", f"SITE={folder}").strip() == f"Open {folder}/index.html"
    return folder


@pytest.fixture(scope="session")
def pages(site) -> dict[Path, BeautifulSoup]:
    """Every page by its file."""
    return {
        file: BeautifulSoup(file.read_text("utf-8"), "html.parser") for file in site.rglob("*.html")
    }


def test_every_link_of_the_site_leads_somewhere(pages, site):
    anchors = {
        file: {tag["id"] for tag in page.find_all(id=True)} | {""} for file, page in pages.items()
    }
    dead = set()
    for file, page in pages.items():
        for link in page.find_all("a", href=True):
            url = urlsplit(link["href"])
            if url.scheme or link["href"] == "#":
                continue
            target = (file.parent / unquote(url.path)).resolve() if url.path else file
            known = anchors.get(target, {""} if target.is_file() else set())
            if unquote(url.fragment) not in known:
                dead.add((str(file.relative_to(site)), link["href"]))
    assert dead == set()


def test_a_reader_without_network_misses_nothing(pages):
    elsewhere = {
        found
        for page in pages.values()
        for name, attribute in FETCHED.items()
        for tag in page.find_all(name, attrs={attribute: True})
        if urlsplit(found := tag[attribute]).netloc
    }
    assert elsewhere == set()


def test_every_clause_leads_to_the_cases_that_prove_it(pages, site):
    contract = pages[site / "contract.html"]
    for number in filter(is_clause, CLAUSES):
        clause = contract.find(id=f"clause-{number.replace('.', '-')}")
        links = [link["href"] for link in clause.select("details.cases a")]
        assert links, number
        assert all(link.startswith("cases.html#engine_store_contracts.") for link in links)


def test_every_command_has_its_options_on_the_page(pages, site):
    text = pages[site / "command-line.html"].get_text()
    for command in ("start", "migrate down", "workflows purge", "conformance", "import"):
        assert f"engine-store {command} [OPTIONS]" in text
    assert "--dry-run" in text


# --- in a browser ------------------------------------------------------------------------------


@pytest.fixture(scope="module")  # no longer: while it is open, nothing else may run an event loop
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: the site is not looked at in a browser")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox"],  # root has none
        )
        yield launched
        launched.close()


@pytest.fixture(
    params=[(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")],
    ids=["desktop-light", "desktop-dark", "phone-light", "phone-dark"],
)
def tab(browser, request) -> Iterator[Page]:
    """An empty page of the browser; what goes wrong in it fails the test."""
    size, theme = request.param
    context = browser.new_context(viewport=size, color_scheme=theme)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(f"{page.url}: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda request: wrong.append(f"{page.url}: {request.url}"))
    yield page
    context.close()
    assert wrong == []


def test_every_page_fits_its_window_and_has_nothing_to_complain_of(tab, pages, site):
    too_wide = []
    for file in pages:
        if "_modules" not in file.parts:
            tab.goto(file.as_uri())
            if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
                too_wide.append(file.relative_to(site))
    assert too_wide == []


def test_the_plots_are_those_of_the_theme(tab, site):
    tab.goto((site / "benchmarks.html").as_uri())
    dark = tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    plots = tab.locator("article img").all()
    shown = [plot.get_attribute("src") for plot in plots if plot.is_visible()]
    assert shown
    assert all(f"-{'dark' if dark else 'light'}" in plot for plot in shown)


def test_the_search_finds_a_page_without_a_server(tab, site):
    tab.goto((site / "index.html").as_uri())
    if tab.viewport_size == PHONE:
        tab.locator("label[for=__navigation]:visible").first.click()
    tab.locator("input.sidebar-search").fill("savepoint")
    tab.locator("input.sidebar-search").press("Enter")
    tab.get_by_text("Search finished").wait_for()
    found = tab.locator("#search-results li a").all_inner_texts()
    assert "Concurrency and locking" in found
    tab.get_by_role("link", name="Concurrency and locking", exact=True).last.click()
    tab.wait_for_url("**/concurrency.html*")
    assert tab.locator("h1").inner_text().startswith("Concurrency and locking")
