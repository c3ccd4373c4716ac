"""The contracts of plugins: subclass one, give it a name and a config, register it.

Time is the leading axis everywhere: activations are ``(T, B, ...)``. No module keeps state between calls.
"""

from spikefront.plugins.contracts.backbone import Backbone
from spikefront.plugins.contracts.coding import Coding
from spikefront.plugins.contracts.energy import EnergyConfig, EnergyModel
from spikefront.plugins.contracts.logger import Logger
from spikefront.plugins.contracts.loss import Loss
from spikefront.plugins.contracts.neuron import Neuron
from spikefront.plugins.contracts.optimizer import Optimizer
from spikefront.plugins.contracts.plugin import InputKind, Layout, NoConfig, OutputKind, Plugin
from spikefront.plugins.contracts.sampler import Sampler
from spikefront.plugins.contracts.site import Between, Chain, Site, SiteFactory, SiteInfo, Sites
from spikefront.plugins.contracts.stopping import StoppingRule
from spikefront.plugins.contracts.surrogate import Exponential, Quotient, Surrogate
from spikefront.plugins.contracts.task import Data, Generator, SearchData, Task

__all__ = [
    "Backbone",
    "Between",
    "Chain",
    "Coding",
    "Data",
    "EnergyConfig",
    "EnergyModel",
    "Exponential",
    "Generator",
    "InputKind",
    "Layout",
    "Logger",
    "Loss",
    "Neuron",
    "NoConfig",
    "Optimizer",
    "OutputKind",
    "Plugin",
    "Quotient",
    "Sampler",
    "SearchData",
    "Site",
    "SiteFactory",
    "SiteInfo",
    "Sites",
    "StoppingRule",
    "Surrogate",
    "Task",
]
