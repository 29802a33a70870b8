"""Why a model predicts what it does: lens, attribution, opened scores, heads, flow; numpy only.

Each module has a product, a frozen dataclass of named arrays whose axes are listed in its `AXES`, and a pure function
`compute` that makes it from a checkpoint (or engine) and a trace. A product is a plain value: it can be kept, compared
and written (`arrays`), and no longer needs the model once it is made. `closings` say whether a decomposition adds up
to the model's own number; `checks.py` lists those that `logitscope check` prints.

    parts        the residual stream as the sum of what wrote into it, and ways of folding the parts
    attribution  which part speaks for a token, or for one against another
    lens         what each point of the residual stream would already predict
    score        one attention score as query parts times key parts
    heads        how each head attends, on a battery and on the current text; labels.py names heads, rollout.py sums up
    flow         which parts made a vector, traced down from a token

All of them take `stop` (`gpt2.session.Stop`; they raise Cancelled soon after it is set); the longer ones also take
`progress`, which receives the share done, from 0 to 1. An attribution is a sum that holds at this input, not a cause:
a later part may erase what an earlier one wrote.
"""
