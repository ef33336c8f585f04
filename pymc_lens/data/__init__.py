"""Images: from files to the positions and pixels that are fitted."""
