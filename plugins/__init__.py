"""What a candidate is made of: codings, neurons, backbones, tasks and energy models, their contracts and registry."""

from spikefront.plugins.contracts import (
    Backbone,
    Between,
    Coding,
    EnergyModel,
    InputKind,
    Neuron,
    NoConfig,
    Plugin,
    SiteInfo,
    Sites,
)
from spikefront.plugins.contracts.site import Site, SiteFactory
from spikefront.plugins.contracts.task import Data, Generator, SearchData, Task
from spikefront.plugins.data.arrays import ArrayTask, array_task
from spikefront.plugins.hookspecs import hookimpl, hookspec
from spikefront.plugins.network.layers import Add, AvgPool, Counted, Dropout, Flatten, MaxPool, Synapse, fold
from spikefront.plugins.network.operations import Counts, Geometry, LayerCount, Operations
from spikefront.plugins.network.signal import Events, Kind, Signal
from spikefront.plugins.registry import KINDS, Entry, Registry, load_registry
from spikefront.plugins.surrogates import SURROGATES, Surrogate

__all__ = [
    "KINDS",
    "SURROGATES",
    "Add",
    "ArrayTask",
    "AvgPool",
    "Backbone",
    "Between",
    "Coding",
    "Counted",
    "Counts",
    "Data",
    "Dropout",
    "EnergyModel",
    "Entry",
    "Events",
    "Flatten",
    "Generator",
    "Geometry",
    "InputKind",
    "Kind",
    "LayerCount",
    "MaxPool",
    "Neuron",
    "NoConfig",
    "Operations",
    "Plugin",
    "Registry",
    "SearchData",
    "Signal",
    "Site",
    "SiteFactory",
    "SiteInfo",
    "Sites",
    "Surrogate",
    "Synapse",
    "Task",
    "array_task",
    "fold",
    "hookimpl",
    "hookspec",
    "load_registry",
]
