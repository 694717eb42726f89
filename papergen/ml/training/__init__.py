"""Language-model training with DistributedDataParallel: corpus, tokenizer, loop, exact resume.

`settings` and `corpus` are importable without torch.
"""
