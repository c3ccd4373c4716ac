"""Contract tests of plugins: what every plugin of a kind must do, as test classes to inherit.

Give the class a fixture ``plugin``, and pytest runs the contract on it::

    from spikefront.plugins.testing import CodingContract

    class TestMyCoding(CodingContract):
        @pytest.fixture
        def plugin(self):
            return MyCoding

Other fixtures and methods that are no tests (``data_dir``, ``example_input``, ``neuron``) may be overridden to suit it.
"""

from spikefront.plugins.testing.backbones import BackboneContract
from spikefront.plugins.testing.base import NumberedSites, PluginContract, assert_survive_fresh_process, sample_configs
from spikefront.plugins.testing.codings import CodingContract
from spikefront.plugins.testing.energy import EnergyModelContract
from spikefront.plugins.testing.neurons import NeuronContract
from spikefront.plugins.testing.tasks import TaskContract

__all__ = [
    "BackboneContract",
    "CodingContract",
    "EnergyModelContract",
    "NeuronContract",
    "NumberedSites",
    "PluginContract",
    "TaskContract",
    "assert_survive_fresh_process",
    "sample_configs",
]
