"""Operations animated with the numbers of the pass: the steps of each animation, and what is shown during them."""
