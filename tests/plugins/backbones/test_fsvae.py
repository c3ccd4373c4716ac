from __future__ import annotations

import pytest
import torch
from torch import nn

from spikefront.plugins import Counts, Kind, Signal, Synapse, load_registry
from spikefront.plugins.backbones.fsvae import FSVAE, FSVAEConfig
from spikefront.plugins.testing import NumberedSites
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network, assemble
from spikefront.searchspace import UsageError, from_flat

REGISTRY = load_registry(third_parties=False)


def build(shape: tuple[int, ...], outputs: int, **config: object) -> tuple[FSVAE, NumberedSites]:
    torch.manual_seed(0)
    sites = NumberedSites(REGISTRY.get("neuron", "lif"))
    backbone = FSVAE(FSVAEConfig(**config), input_shape=shape, outputs=outputs, sites=sites)  # type: ignore[arg-type]
    sites.finish()
    return backbone, sites


def network(coding: str, shape: tuple[int, ...] = (1, 8, 8), **more: object) -> Network:
    """Return a network whose norms have seen images."""
    torch.manual_seed(0)
    flat = {
        "task": "digits-generation",
        "coding": coding,
        "backbone": "fsvae",
        "steps": 4,
        "backbone.fsvae.latents": 16,
    }
    made = assemble(from_flat({**flat, **more}, REGISTRY), REGISTRY, shape, shape[0] * shape[1] * shape[2])
    for module in made.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None  # the mean over all batches
    for _ in range(20):
        made(torch.rand(8, *shape))
    return made


@pytest.mark.parametrize(("shape", "sizes"), [((1, 28, 28), [28, 14, 7, 4]), ((1, 8, 8), [8, 4, 2, 1])])
def test_decoder_mirrors_the_encoder(shape: tuple[int, ...], sizes: list[int]) -> None:
    _, sites = build(shape, shape[1] * shape[2])
    maps = [(site.info.channels, site.info.size) for site in sites.made if site.info.last_of_stage]
    expected = [(32 * 2**stage, (size, size)) for stage, size in enumerate(sizes[1:])]
    assert maps == expected + expected[::-1]
    assert [site.info.stage for site in sites.made] == [0, 1, 2, *[3] * 7, 3, 4, 5]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 7, 5), (2, 1, 16), (1, 1, 1), (1, 9, 14)])
def test_images_keep_their_size_and_may_change_their_channels(shape: tuple[int, ...]) -> None:
    outputs = 3 * shape[1] * shape[2]
    backbone, _ = build(shape, outputs, latents=16)
    assert backbone(Signal(torch.rand(1, 2, *shape), 3, Kind.ANALOG)).values.shape == (3, 2, outputs)


@pytest.mark.parametrize(("shape", "outputs"), [((1, 8, 8), 10), ((64,), 64)])
def test_what_is_no_image_of_that_size_is_refused(shape: tuple[int, ...], outputs: int) -> None:
    with pytest.raises(UsageError, match=r"^backbone 'fsvae' makes images of the size that it is given, not"):
        build(shape, outputs)


def test_parameters_are_those_of_the_layers_by_hand() -> None:
    backbone, _ = build((1, 28, 28), 784, width=8, stages=2, latents=16, choices=5)
    encoder = 9 * (1 * 8 + 8 * 16) + 2 * (8 + 16) + 16 * 49 * 16 + 2 * 16
    mlp = 16 * 32 + 32 * 64 + 64 * 80 + 2 * (32 + 64 + 80)
    decoder = 16 * 16 * 49 + 2 * 16 * 49 + 9 * (16 * 8 + 8 * 1) + 2 * 8 + 1
    assert sum(p.numel() for p in backbone.parameters()) == encoder + 2 * mlp + 16 * 32 + decoder


def test_forward_pass_in_training_moves_each_norm_once() -> None:
    made = network("direct")
    norms = [module for module in made.modules() if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert {int(norm.state_dict()["num_batches_tracked"]) for norm in norms} == {20}


def count(made: Network) -> Counts:
    torch.manual_seed(1)
    return count_operations(made, torch.rand(4, 1, 8, 8))


def test_operations_are_those_of_one_pass_of_encoder_posterior_and_decoder() -> None:
    made = network("direct")
    counts = count(made)
    names = [layer.layer for layer in counts.layers]
    parts = [name for name, module in made.named_modules() if isinstance(module, Synapse) and ".prior." not in name]
    assert [name for name in names if name in set(parts)] == parts
    assert not any("#" in name or ".prior." in name for name in names)
    first, *spiking = (layer for layer in counts.layers if layer.role == "synapse")
    assert first.macs > 0
    assert all(layer.sops > 0 and not layer.macs for layer in spiking)
    (pick,) = (layer for layer in counts.layers if layer.layer.endswith(".pick"))
    assert pick.operations.multiplies == 4 * 4 * 16  # steps, samples, latents


def test_fed_back_spikes_are_charged_one_step_later() -> None:
    made = network("direct")
    by_name = {layer.layer.removeprefix("backbone.layers."): layer for layer in count(made).layers}
    # all latents reach the decoder, those of the last step are not fed back
    assert 0 < by_name["1.posterior.past"].events < by_name["2.0"].events


@pytest.mark.parametrize("coding", ["sac", "tcja", "gac"])
def test_attention_acts_in_it(coding: str) -> None:
    made = network(coding)
    assert any(site.between is not None for site in made.sites)
    latent = [site for site in made.sites if not site.info.last_of_stage]
    assert coding == "sac" or all(site.between is None for site in latent)  # gates over time would show the future
    with torch.no_grad():
        assert made.eval().sample(3).shape == (3, 64)
    loss = made.train()(torch.rand(8, 1, 8, 8)).square().mean() + made.penalty()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
