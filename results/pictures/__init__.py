"""Pictures of searches and of what their members do: declarative charts, the same in report, files and notebooks."""
