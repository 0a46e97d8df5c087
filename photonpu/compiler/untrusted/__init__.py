"""Models from strangers: bounded, checked and read in a child process before they are trusted."""
