"""The vocabulary of a search: domains, candidates, spaces, objectives, trials, fronts. Of heavy libraries Optuna alone.

The names are listed in ``__init__.pyi``; each is imported when it is first used, so that errors and units cost nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
