"""Language-model training with DistributedDataParallel: corpus, tokenizer, loop (torch is imported inside the modules that compute)."""
