"""Task heads on one backbone: data, fine-tuning, evaluation by the field's definitions; and pipelines taken apart."""
