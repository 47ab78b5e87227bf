"""Pure wire languages: no I/O."""
