"""What a network is shown: the views of a clip, and the clips of a cache in memory."""
