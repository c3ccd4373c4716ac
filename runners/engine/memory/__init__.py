"""What a search remembers: journal, study, and what a resume needs."""
