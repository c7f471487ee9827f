"""Parts of `abdomen_ct.py`: cases, their alteration, scores, tables and the model card."""
