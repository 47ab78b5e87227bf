"""The page and the client that others embed: plain files, served as they are."""
