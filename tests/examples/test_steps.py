"""The quickstart's files and steps: what is analysed, and what cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine_store import ErrorInfo
from quickstart.sources import Source, UsageError, folder_or_file, project_documents
from quickstart.steps import MAX_BYTES, Result, analyse_file, summarise


def test_a_file_is_analysed_and_its_tokens_are_its_usage(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("The cat sat. A cat ran!")
    result = analyse_file(path)
    assert result.error is None
    assert result.output == {
        "bytes": 23,
        "words": 6,
        "sentences": 2,
        "syllables": 6,
        "tokens": 8,
        "reading_ease": 119.2,
        "top_terms": [["cat", 2], ["ran", 1], ["sat", 1]],
    }
    (entry,) = result.usage.entries
    assert (entry.prompt_tokens, entry.agent_ids, entry.source) == (8, ("analyst",), "counted")
    assert entry.total_tokens == 8 + entry.completion_tokens


def test_an_empty_file_is_analysed_too(tmp_path: Path) -> None:
    path = tmp_path / "empty.md"
    path.touch()
    output = analyse_file(path).output
    assert output is not None
    assert (output["bytes"], output["words"], output["reading_ease"]) == (0, 0, None)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.txt"
    path.write_bytes(b"\xef\xbb\xbfword")
    output = analyse_file(path).output
    assert output is not None
    assert (output["bytes"], output["tokens"]) == (7, 1)


def test_a_file_that_is_not_utf8_is_a_failed_result_that_says_where(tmp_path: Path) -> None:
    path = tmp_path / "latin1.txt"
    path.write_bytes("ab é".encode("latin-1"))
    assert analyse_file(path) == Result(
        error=ErrorInfo("not UTF-8 at byte 3", "NOT_UTF8", {"byte": 3})
    )


def test_a_file_beyond_the_limit_is_a_failed_result(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert analyse_file(path) == Result(error=ErrorInfo("larger than 4,194,304 bytes", "TOO_LARGE"))


def test_a_file_that_is_gone_is_a_failed_result(tmp_path: Path) -> None:
    assert analyse_file(tmp_path / "gone.txt") == Result(
        error=ErrorInfo("No such file or directory", "UNREADABLE")
    )


def test_a_summary_adds_counts_and_names_terms_that_several_files_share() -> None:
    one = {"bytes": 1, "words": 2, "sentences": 1, "syllables": 3, "tokens": 4}
    result = summarise(
        {
            "file-0001": {**one, "top_terms": [["store", 9], ["claim", 1]]},
            "file-0002": {**one, "top_terms": [["store", 1], ["lease", 5]]},
        }
    )
    assert result.output == {
        "files": 2,
        "bytes": 2,
        "words": 4,
        "sentences": 2,
        "syllables": 6,
        "tokens": 8,
        "reading_ease": 77.9,
        "common_terms": [["store", 2]],
    }


def test_there_is_no_summary_of_nothing() -> None:
    error = ErrorInfo("no file could be analysed", "NOTHING_TO_SUMMARISE")
    assert summarise({}) == Result(error=error)


# --- sources -----------------------------------------------------------------------------------


def test_a_folder_gives_its_texts_sorted_and_leaves_hidden_and_other_files_out(
    tmp_path: Path,
) -> None:
    for name in ("b.md", "a.TXT", "sub/c.rst", "image.png", ".hidden.md", ".git/d.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert folder_or_file(str(tmp_path)) == Source(
        str(tmp_path), str(tmp_path), ("a.TXT", "b.md", "sub/c.rst")
    )


def test_a_file_may_be_named_whatever_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "LICENSE"
    path.touch()
    assert folder_or_file(str(path)) == Source(str(path), str(tmp_path), ("LICENSE",))


def test_the_project_has_documents_of_its_own() -> None:
    assert {"README.md", "core/README.md"} <= set(project_documents().files)


@pytest.mark.parametrize("given", ["", "nowhere", "~nobody-has-this-name/x", "x" * 5000])
def test_an_input_that_is_not_there_is_a_usage_error(given: str) -> None:
    with pytest.raises(UsageError, match="--input"):
        folder_or_file(given)


def test_a_folder_without_texts_is_a_usage_error_that_says_what_is_text(tmp_path: Path) -> None:
    (tmp_path / "image.png").touch()
    with pytest.raises(UsageError, match=r"no text files \(\.adoc, .*\.txt\) in"):
        folder_or_file(str(tmp_path))


def test_a_name_that_is_not_utf8_is_a_usage_error(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).touch()
    with pytest.raises(UsageError, match=r"xff\.txt' is not UTF-8; rename it"):
        folder_or_file(str(tmp_path))
