"""The report: one self-contained HTML page about a search."""

from spikefront.results.report.page import report_page
from spikefront.results.report.verb import ARTIFACT, report

__all__ = ["ARTIFACT", "report", "report_page"]
