"""How candidates are judged and searched."""
