"""Is the declared capacity honest? Full houses of callers who speak real recordings, beside one caller alone."""
