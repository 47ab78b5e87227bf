"""Who may speak, and in which language: the only package that serves HTTP."""
