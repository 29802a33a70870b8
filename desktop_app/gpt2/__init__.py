"""The model side: checkpoints, tokens, the graph, traces and sampling. Never Qt."""
