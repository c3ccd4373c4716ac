"""``spikefront twin``: members of a front against ANNs of the same backbones."""

from __future__ import annotations

from pathlib import Path

from spikefront.commands.app import command
from spikefront.commands.options import DataDir, Experiment, Folder, PluginsDir, SearchName, TrackingUri
from spikefront.commands.printing import Conclusions, print_conclusions


@command(
    print_conclusions,
    about="Compare front members with ANNs of the same backbone, full-precision and quantised.",
    example="twin digits-1",
    formats=True,
)
def twin(
    search: SearchName = None,
    *,
    data_dir: DataDir = None,
    plugins_dir: PluginsDir = (),
    folder: Folder = Path("searches"),
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
) -> Conclusions:
    """Train the ANN of each member's backbone and a quantised network made of it, and compare on the same split.

    Results are stored in MLflow at once, and are not trained again; the report shows them.

    Returns:
        A row for each member, cheapest first, and the conclusions, in sentences.

    Raises:
        UsageError: before any training starts, when an option makes no sense.
    """
    from spikefront.results.store.connection import Store
    from spikefront.results.twins import Twins
    from spikefront.runners.engine.settings import SearchSettings, check_folder
    from spikefront.runners.judging.twins import compare_all

    known = Twins(Store(tracking_uri, experiment), search)
    settings = SearchSettings(
        name=known.search.name,
        folder=folder,
        energy_model=known.search.energy_model,
        data_dir=data_dir,
        plugins_dir=plugins_dir,
    )
    check_folder(settings)
    compare_all(
        known.missing(),
        plugins_dir=settings.plugin_folders,
        energy_model=settings.energy_model,
        data_dir=settings.data_folder,
        ann_cache=settings.anns.resolve(),
        on_comparison=known.record(),
    )
    return Conclusions(*known.conclude())
