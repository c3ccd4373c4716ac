"""The report: one self-contained HTML page about a search."""

from spikefront.results.report.verb import ARTIFACT, keep_report, report

__all__ = ["ARTIFACT", "keep_report", "report"]
