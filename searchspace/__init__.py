"""What can be searched: domains, candidates, spaces and their narrowing. Of heavy libraries it knows Optuna alone."""

from spikefront.searchspace.callbacks import Listener, State
from spikefront.searchspace.candidate import DEFAULTS, FAMILIES, Candidate, Part, Schedule, Training, from_flat
from spikefront.searchspace.domains import (
    PINNED,
    Choice,
    Domain,
    Float,
    Int,
    Value,
    When,
    build,
    check,
    contains,
    describe,
    fields_of,
    validate,
)
from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.narrowing import Narrowing, parse_mapping, parse_set
from spikefront.searchspace.objectives import ENERGY, LATENCY, EarlierTrial, Objective, SearchInfo
from spikefront.searchspace.space import Row, SearchCatalogue, Space
from spikefront.searchspace.study_file import OPTIONS, read_asked, read_options, read_study, read_study_file

__all__ = [
    "DEFAULTS",
    "ENERGY",
    "FAMILIES",
    "LATENCY",
    "OPTIONS",
    "PINNED",
    "Candidate",
    "Choice",
    "Domain",
    "EarlierTrial",
    "Float",
    "Int",
    "Listener",
    "Narrowing",
    "Objective",
    "Part",
    "Row",
    "Schedule",
    "SearchCatalogue",
    "SearchInfo",
    "Space",
    "State",
    "Training",
    "UnknownName",
    "UsageError",
    "Value",
    "When",
    "build",
    "check",
    "contains",
    "describe",
    "fields_of",
    "from_flat",
    "parse_mapping",
    "parse_set",
    "read_asked",
    "read_options",
    "read_study",
    "read_study_file",
    "validate",
]
