"""Why a model predicts what it does: lens, attribution, scores opened, heads, flow; numpy alone.

Each module has a product, a frozen dataclass of named arrays whose axes stand in its `AXES`, and a pure function
`compute` that makes it of a checkpoint (or engine) and a trace. A product is a plain value: it may be kept, compared
and written (`arrays`), and the model is asked for nothing more once it is made. `closings` say whether what was taken
apart adds up to the model's own number; `checks.py` lists those that `logitscope check` prints.

    parts        the residual stream as the sum of what wrote into it, and ways of folding the parts
    attribution  which part speaks for a token, or for one against another
    lens         what each point of the residual stream would already predict
    score        one attention score as query parts times key parts
    heads        how each head looks: battery and text at hand; labels.py names them, rollout.py sums them up
    flow         which parts made a vector, followed down from a token

All of them take `stop` (`gpt2.session.Stop`; they raise Cancelled soon after it is set), the longer ones `progress`,
which hears the share that is done, from 0 to 1. An attribution is a sum that holds at this input, not a cause: what
one part wrote a later one may erase.
"""
