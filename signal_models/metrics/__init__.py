"""How good an answer is: the field's protocols, as functions of arrays."""
