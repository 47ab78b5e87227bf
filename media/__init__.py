"""Packets to gapless PCM. This package knows nothing of HTTP or of engines."""
