"""What a notebook shows of a report."""

from __future__ import annotations

from report_samples import finding, report


def test_a_notebook_shows_numbers_and_the_first_findings_with_names_escaped() -> None:
    found = [finding("C001", f"class {i} is <b>out</b>", "labels/<a>.txt", i + 1) for i in range(14)]
    html = report(found)._repr_html_()
    assert html.count("<tr>") == 12 and "and 2 more" in html
    assert "<b>out" not in html and "labels/&lt;a&gt;.txt" in html
