"""A coding that raises in the middle of a training, as the text of its plugin file."""

BREAKS = """
from spikefront.plugins import Coding, hookimpl

class Breaks(Coding):
    '''Raises at its fourth batch.'''
    name = "breaks"

    def encode(self, x):
        self.calls = getattr(self, "calls", 0) + self.training
        if self.calls > 3:
            raise ArithmeticError("no fourth batch")
        return super().encode(x)

@hookimpl
def register_codings(register):
    register(Breaks)
"""
