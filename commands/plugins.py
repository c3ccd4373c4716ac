"""``spikefront plugins``: the plugins that were found."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from spikefront.commands.app import command
from spikefront.commands.options import PluginsDir, Verbose
from spikefront.commands.printing import print_rows
from spikefront.searchspace.options import Option, text

if TYPE_CHECKING:
    import pandas as pd


@command(
    print_rows,
    about="List the plugins that were found.",
    example="plugins --kind coding --plugins-dir my_plugins",
    formats=True,
)
def plugins(
    kind: Annotated[
        str | None, Option("Filters", text, "KIND", flag="--kind"), "Only of this kind: coding, neuron, sampler, ..."
    ] = None,
    *,
    plugins_dir: PluginsDir = (),
    verbose: Verbose = False,
) -> pd.DataFrame:
    """Return the plugins that were found, a row each; those that can't be loaded cost a warning on stderr.

    Raises:
        UsageError: for an unknown kind, or a folder that does not exist.
    """
    import pandas as pd

    from spikefront.commands.printing import show_tracebacks, warn
    from spikefront.plugins import KINDS, load_registry
    from spikefront.searchspace import UnknownName

    if kind is not None and kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    assert isinstance(plugins_dir, tuple)
    registry = load_registry(plugins_dir)
    if verbose:
        show_tracebacks(registry)
    for problem in registry.lines:
        warn(problem)
    for line in (line for (each, _), line in registry.missing.items() if kind in (None, each)):
        print(f"spikefront: not offered: {line}", file=sys.stderr)
    rows = [
        {
            "kind": each,
            "name": name,
            "what": entry.summary,
            "hyperparameters": ", ".join(entry.hyperparameters),
            "version": entry.version,
        }
        for each, entries in registry.entries.items()
        if kind in (None, each)
        for name, entry in sorted(entries.items())
    ]
    return pd.DataFrame(rows)
