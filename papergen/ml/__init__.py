"""The science of the shipped kinds: models, decoding, training, tasks, tensor operations; torch is met here."""
