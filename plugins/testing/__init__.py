"""Contract tests of plugins: test classes to inherit, one for each kind of plugin.

Give the class a fixture ``plugin``, and pytest runs the contract on it::

    from spikefront.plugins.testing import CodingContract

    class TestMyCoding(CodingContract):
        @pytest.fixture
        def plugin(self):
            return MyCoding

Other fixtures and methods that are not tests (``data_dir``, ``example_input``, ``neuron``) may be overridden.
"""

from spikefront.plugins.testing.backbones import BackboneContract
from spikefront.plugins.testing.base import NumberedSites, PluginContract, assert_survive_fresh_process, sample_configs
from spikefront.plugins.testing.codings import CodingContract
from spikefront.plugins.testing.energy import EnergyModelContract
from spikefront.plugins.testing.loggers import LoggerContract
from spikefront.plugins.testing.losses import LossContract
from spikefront.plugins.testing.neurons import NeuronContract
from spikefront.plugins.testing.objectives import ObjectiveContract
from spikefront.plugins.testing.optimizers import OptimizerContract
from spikefront.plugins.testing.samplers import SamplerContract
from spikefront.plugins.testing.stopping import StoppingRuleContract
from spikefront.plugins.testing.surrogates import SurrogateContract
from spikefront.plugins.testing.tasks import TaskContract

__all__ = [
    "BackboneContract",
    "CodingContract",
    "EnergyModelContract",
    "LoggerContract",
    "LossContract",
    "NeuronContract",
    "NumberedSites",
    "ObjectiveContract",
    "OptimizerContract",
    "PluginContract",
    "SamplerContract",
    "StoppingRuleContract",
    "SurrogateContract",
    "TaskContract",
    "assert_survive_fresh_process",
    "sample_configs",
]
