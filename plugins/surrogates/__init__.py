"""Surrogate gradients: one file each.

``x`` is the membrane potential minus the threshold. Those that SpikingJelly has too follow its conventions (Fang et
al., Science Advances 9, 2023).
"""
