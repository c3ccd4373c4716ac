"""Templates of ``spikefront new-plugin``: for each kind a plugin file that works, named ``my-`` and its kind.

They are not registered. ``package`` holds what stands around the plugin in a package of its own.
"""
