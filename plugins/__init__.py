"""Plugins: what a search and its candidates are made of. Contracts, parts of networks, domains and the registry.

Everything that a plugin needs is imported from here.
"""

from spikefront.plugins.bases.attention import AttentionConfig, Gate
from spikefront.plugins.bases.conversion import Conversion, ConversionConfig
from spikefront.plugins.bases.decoding import Decoding, DecodingConfig
from spikefront.plugins.bases.leaky import LeakyConfig
from spikefront.plugins.bases.whole_trials import TrialLogger
from spikefront.plugins.contracts import (
    Backbone,
    Between,
    Chain,
    Coding,
    Data,
    EnergyConfig,
    EnergyModel,
    Exponential,
    Generator,
    InputKind,
    Logger,
    Loss,
    Neuron,
    NoConfig,
    Optimizer,
    Plugin,
    Quotient,
    Sampler,
    SearchData,
    Site,
    SiteFactory,
    SiteInfo,
    Sites,
    StoppingRule,
    Surrogate,
    Task,
)
from spikefront.plugins.data.arrays import ArrayTask, array_task
from spikefront.plugins.hookspecs import hookimpl, hookspec
from spikefront.plugins.kinds import KINDS, PluginKind
from spikefront.plugins.network.layers import Add, AvgPool, Counted, Dropout, Flatten, MaxPool, Synapse, fold
from spikefront.plugins.network.membrane import integrate_and_fire
from spikefront.plugins.network.operations import Counts, Geometry, LayerCount, Operations, product_by
from spikefront.plugins.network.signal import ContractError, Events, Kind, Signal
from spikefront.plugins.registry import Entry, Registry, load_registry
from spikefront.searchspace.candidate import Candidate
from spikefront.searchspace.domains import Choice, Domain, Float, Int, Value
from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.fields import PINNED, Snap, When
from spikefront.searchspace.objectives import Objective
from spikefront.searchspace.trial import SearchInfo, State, Trial

__all__ = [
    "KINDS",
    "PINNED",
    "Add",
    "ArrayTask",
    "AttentionConfig",
    "AvgPool",
    "Backbone",
    "Between",
    "Candidate",
    "Chain",
    "Choice",
    "Coding",
    "ContractError",
    "Conversion",
    "ConversionConfig",
    "Counted",
    "Counts",
    "Data",
    "Decoding",
    "DecodingConfig",
    "Domain",
    "Dropout",
    "EnergyConfig",
    "EnergyModel",
    "Entry",
    "Events",
    "Exponential",
    "Flatten",
    "Float",
    "Gate",
    "Generator",
    "Geometry",
    "InputKind",
    "Int",
    "Kind",
    "LayerCount",
    "LeakyConfig",
    "Logger",
    "Loss",
    "MaxPool",
    "Neuron",
    "NoConfig",
    "Objective",
    "Operations",
    "Optimizer",
    "Plugin",
    "PluginKind",
    "Quotient",
    "Registry",
    "Sampler",
    "SearchData",
    "SearchInfo",
    "Signal",
    "Site",
    "SiteFactory",
    "SiteInfo",
    "Sites",
    "Snap",
    "State",
    "StoppingRule",
    "Surrogate",
    "Synapse",
    "Task",
    "Trial",
    "TrialLogger",
    "UsageError",
    "Value",
    "When",
    "array_task",
    "fold",
    "hookimpl",
    "hookspec",
    "integrate_and_fire",
    "load_registry",
    "product_by",
]
