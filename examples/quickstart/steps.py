"""The work of the tasks: analyse one file, and summarise all. No store in here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from engine_store import ErrorInfo, UsageEntry, UsageSummary, utc_now
from quickstart import analysis
from quickstart.sources import MARKDOWN

MAX_BYTES = 4 * 1024 * 1024
"""Larger files fail: a task must end well within its lease. This many bytes take a second."""

COUNTS = ("bytes", "words", "sentences", "syllables", "tokens")


@frozen
class Result:
    """The result of a task: an output, or an error; and what it used."""

    output: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    usage: UsageSummary = UsageSummary()


def analyse_file(path: Path) -> Result:
    """Analyse one file. A file that cannot be analysed is a failed task, not a crash."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        return _failure("UNREADABLE", exc.strerror or type(exc).__name__)
    if len(data) > MAX_BYTES:
        return _failure("TOO_LARGE", f"larger than {MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        return _failure("NOT_UTF8", f"not UTF-8 at byte {exc.start}", {"byte": exc.start})
    found = analysis.analyse(text, markdown=path.suffix.lower() in MARKDOWN)
    output = {
        "bytes": len(data),
        "words": found.words,
        "sentences": found.sentences,
        "syllables": found.syllables,
        "tokens": found.tokens,
        "reading_ease": found.reading_ease,
        "top_terms": [list(term) for term in found.top_terms],
    }
    return Result(output, usage=_usage("analyst", found.tokens, output))


def summarise(outputs: Mapping[str, dict[str, Any]]) -> Result:
    """Sum up all files, and find the top terms that several share, the most shared first."""
    if not outputs:
        return _failure("NOTHING_TO_SUMMARISE", "no file could be analysed")
    sums = {count: sum(output[count] for output in outputs.values()) for count in COUNTS}
    terms = Counter(term for output in outputs.values() for term, _ in output["top_terms"])
    output = {
        "files": len(outputs),
        **sums,
        "reading_ease": analysis.reading_ease(sums["words"], sums["sentences"], sums["syllables"]),
        "common_terms": [list(term) for term in analysis.top(terms) if term[1] > 1],
    }
    return Result(output, usage=_usage("editor", analysis.count_tokens(_json(outputs)), output))


def _usage(agent: str, prompt_tokens: int, output: dict[str, Any]) -> UsageSummary:
    """Return the tokens of the text that was read, and of the JSON that was written."""
    entry = UsageEntry(
        provider="quickstart",
        model="plain-rule",
        prompt_tokens=prompt_tokens,
        completion_tokens=analysis.count_tokens(_json(output)),
        agent_ids=(agent,),
        captured_at=utc_now(),
        source="counted",
    )
    return UsageSummary.of([entry])


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _failure(code: str, message: str, details: dict[str, Any] | None = None) -> Result:
    return Result(error=ErrorInfo(message, code, details))
