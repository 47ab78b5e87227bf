"""The doors through which audio comes in and events go out."""
