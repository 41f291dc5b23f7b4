"""Two tasks that are related more or less closely, by Shared-Bottom and by MMoE: `python -m bench.related`."""
