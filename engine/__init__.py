"""The domain and the flow of a window: admission, decision, commit. Start at `allocator`."""
