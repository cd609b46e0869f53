"""The contract's clauses: an anchor for each, and links to the cases that prove it.

On the page `contract` each clause gets the label `clause-2.3` and the list of its cases, by the
marks of the suite. The directive `cases` documents every section of the suite, case by case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from engine_store_contracts.clauses import CLAUSES
from engine_store_contracts.contract import DriverContract

PAGE = "contract"


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known, and mark the clauses of the page."""
    app.add_directive("cases", Cases)
    app.connect("doctree-read", mark_clauses)
    return {"parallel_read_safe": True}


def sections() -> list[type]:
    """The classes of the suite that have cases, in the order of the contract."""
    return [base for base in DriverContract.__mro__ if any(map(_is_case, vars(base)))]


def _is_case(name: str) -> bool:
    return name.startswith("test_")


def cases() -> dict[str, list[str]]:
    """By clause, the full names of its cases."""
    found = defaultdict(list)
    for section in sections():
        for name, case in vars(section).items():
            if _is_case(name):
                for number in _marked(section) | _marked(case):
                    found[number].append(f"{section.__module__}.{section.__qualname__}.{name}")
    return found


def _marked(marked: object) -> set[str]:
    marks = [*getattr(marked, "pytestmark", [])]
    for mark in [mark for mark in marks if mark.name == "parametrize"]:
        marks += [each for value in mark.args[1] for each in getattr(value, "marks", ())]
    return {number for mark in marks if mark.name == "clause" for number in mark.args}


def mark_clauses(app: Sphinx, doctree: nodes.document) -> None:
    """Add anchors and cases to the page of the contract."""
    if app.env.docname != PAGE:
        return
    of_clause = cases()
    seen = set()
    for number, node in _clauses(doctree):
        seen.add(number)
        label = f"clause-{number}"
        identifier = nodes.make_id(label)
        node["ids"].insert(0, identifier)
        domain = app.env.domains.standard_domain
        domain.anonlabels[label] = PAGE, identifier
        domain.labels[label] = PAGE, identifier, number
        if number in of_clause:
            at = 1 if isinstance(node, nodes.section) else len(node)
            node[at:at] = _shown(of_clause[number])
    if seen != set(CLAUSES):
        raise ValueError(f"the page and the suite differ in {sorted(seen ^ set(CLAUSES))}")


def _clauses(doctree: nodes.document) -> Iterator[tuple[str, nodes.Element]]:
    """Each section that is numbered, and each item of a numbered list right below one."""
    for section in doctree.findall(nodes.section):
        [title, *below] = section.children
        number = title.astext().partition(".")[0]
        if not number.isdigit():
            continue
        yield number, section
        for listed in below:
            if isinstance(listed, nodes.enumerated_list):
                items = [item for item in listed.children if isinstance(item, nodes.list_item)]
                for position, item in enumerate(items, start=1):
                    yield f"{number}.{position}", item


def _shown(names: list[str]) -> list[nodes.Node]:
    """The cases, folded up."""
    said = "1 case" if len(names) == 1 else f"{len(names)} cases"
    links = nodes.bullet_list()
    for name in names:
        link = pending_xref(
            "",
            nodes.inline("", name.rpartition(".test_")[2].replace("_", " ")),
            refdomain="py",
            reftype="meth",
            reftarget=name,
            refexplicit=True,
            refwarn=True,
            refdoc=PAGE,
        )
        links.append(nodes.list_item("", nodes.paragraph("", "", link)))
    begin = f"<details class='cases'><summary>{said}</summary>"
    return [nodes.raw("", begin, format="html"), links, nodes.raw("", "</details>", format="html")]


class Cases(SphinxDirective):
    """Every section of the suite, with its cases and, behind each, its source."""

    def run(self) -> list[nodes.Node]:
        """Document them."""
        documented = [
            f".. autoclass:: {section.__module__}.{section.__qualname__}\n"
            "   :members:\n   :undoc-members:\n   :member-order: bysource\n"
            "   :exclude-members: faces, needs\n"
            for section in sections()
        ]
        text = "\n".join(["```{eval-rst}", *documented, "```"])
        return self.parse_text_to_nodes(text)
