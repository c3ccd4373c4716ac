"""What stands around the plugin in a package of its own, written as for ``my-coding``."""
