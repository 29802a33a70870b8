"""Every option of every command, defined once: shared options first, then the options of each command."""

import argparse
from pathlib import Path

from desktop_app.core.asking.choices import CHOICES
from desktop_app.core.asking.options import Fixed, Kind, OneOf, Option, Options, declare
from desktop_app.core.program.bundle import ENGLISH, languages
from desktop_app.core.program.logs import LEVELS

_LANGUAGES = " or ".join(languages())


def _model(default: str) -> Option:
    return Option(
        "--model",
        "a checkpoint's folder, a bundled model's name, or owner/name of a model downloaded from the Hugging Face Hub "
        f"(default: {default}; see `models list`)",
        metavar="MODEL",
    )


def _out(what: str) -> Options:
    return Option("--out", f"the {what} file to write", Path, "FILE", required=True), FORCE


def _token(name: str, what: str, *, required: bool = False) -> OneOf:
    """A token by its text, or by its id."""
    return OneOf(
        (
            Option(f"--{name}", f"{what}, as text with its space, like ' Paris'", metavar="TOKEN"),
            Option(f"--{name}-id", f"{what}, by its id", int, "ID"),
        ),
        required,
    )


MODEL = _model("the bundled model")
INT8 = Option("--int8", "round the weights to int8: faster, with less memory, but not exact", Kind.FLAG)
PROVIDER = Option("--provider", "the onnxruntime provider that computes, like cuda (default cpu)", str, "NAME")
ENGINE: Options = (INT8, PROVIDER)
LOG_LEVEL = Option(
    "--log-level",
    "log messages from this level up, and show them here, too (default: info in the log, warnings here)",
    choices=tuple(LEVELS),
)
TEXT = Option("text", "the prompt; - reads it from standard input, unchanged", str, "TEXT", maybe=True)
IDS = Option("--ids", "the prompt as token ids instead, like 464,3797", str, "LIST")
SESSION = Option("--session", "a saved session, with its prompt, place and settings", Path, "FILE")
STORY = Option("--story", "a story's file, or the name of a bundled one, like attention", str, "FILE")
TRACE = Option("--trace", "a pass saved by logitscope trace, as safetensors", Path, "FILE")
_AS_FILES_SAY = "(default: as the tokenizer's files say)"
BEGIN: Options = (
    Option(
        "--bos",
        f"begin with the token with which this model's texts begin, like <|endoftext|>, or do not {_AS_FILES_SAY}",
        Kind.EITHER,
    ),
    Option("--prefix-space", f"put a space in front of the text, or do not {_AS_FILES_SAY}", Kind.EITHER),
)
PROMPT: Options = (OneOf((TEXT, IDS), required=True), *BEGIN)
EDITS: Options = (
    Option(
        "--edit",
        "change a tensor during the pass: 'SITE[INDEX]=VALUE', also *= and +=, like 'blocks.1.attn.z[2]=0' or "
        "'blocks.0.attn.scaled[1,5,0]=-inf'; several are applied in order. VALUE may also be mean, other, "
        "tokens[..], prompts[..], direction[..], neuron[..], edge[..] or across (docs/what-if.md)",
        Kind.AGAIN,
        "EDIT",
    ),
    Option(
        "--mask",
        "which keys a query sees: causal (GPT-2's), none, window:16, strided:N, local:N+global:M, each also with "
        "+first; masks of single heads follow, as in 'causal, 3.1=window:4'",
        metavar="MASK",
    ),
    Option("--other", "another prompt, from which edits may take values", metavar="TEXT"),
    Option(
        "--align",
        "how tokens of prompts of different lengths correspond (default tokens)",
        choices=("tokens", "start", "end"),
    ),
)
BESIDE = Option(
    "--beside",
    "another model of the same shape and tokens, whose pass is shown for comparison (--compare pair or other), given "
    "as for --model",
    metavar="MODEL",
)
FORCE = Option("--force", "replace the file if it exists", Kind.FLAG)
ARRAYS: Options = (
    Option("--out", "write the arrays to this .npz or .safetensors file; else print a table", Path, "FILE"),
    FORCE,
)
SAMPLING: Options = (
    Option("--temperature", "from 0.01 to 100 (default 1)", float, "T", default=1.0),
    Option("--top-k", "keep the K likeliest (default 0: all)", int, "K", default=0),
    Option("--top-p", "keep this much probability (default 1: all)", float, "P", default=1.0),
    Option("--greedy", "always the likeliest token", Kind.FLAG),
    Option("--seed", "the same seed draws the same tokens (default 0)", int, default=0),
)
# A command that takes a session uses the session's settings if these are not given.
SAMPLING_OR_SESSION: Options = (*SAMPLING, *(Fixed(name, None) for name in ("temperature", "top_k", "top_p", "seed")))
TOKEN = Option("--token", "position of the token, the query (default: the last)", int, "N")
POSITION = Option("--position", "the position whose next token is predicted (default: the last)", int, "N")
COLOURS: Options = (
    Option("--keys-down", "attention grids with queries as columns", Kind.FLAG),
    Option("--skip-first", "leave position 0 out of the colours", Kind.FLAG),
    Option("--sort-neurons", "the most active neurons first", Kind.FLAG),
)
LEVELS = ("dot", "softmax", "head", "top-p")
"""The exercises of a worksheet; a test compares them with `core.worksheet`."""
NO_CAPTION = Option("--no-caption", "leave out prompt, model and settings at the foot", Kind.FLAG)
JSON = Option("--json", "print JSON instead of a table", Kind.FLAG)
VIEW: Options = (
    *(
        Option(
            f"--{row.flag}",
            f"{row.help}: {', '.join(row.words)} (default {row.usual})",
            metavar="WORD",
            choices=row.words,
            field=row.field,
        )
        for row in CHOICES.values()
    ),
    Option("--unfold", "why: the blocks that are shown by parts, like 3,5", metavar="LIST", default=""),
    Option("--key", "look: the key whose score is shown (default: the strongest)", int, "N"),
    Option("--least", "circuits: pairs at least this far above random (default 0.15)", float, "X"),
    Option("--direction", "directions: a sum of tokens, like 'uncle - man + woman', or a ruler", metavar="TEXT"),
    Option("--translators", "lens: a safetensors file of translators", Path, "FILE"),
)
"""Options of views in figures and on slides, most of them options of workspaces."""

FIGURE: Options = (
    MODEL,
    *BEGIN,
    *EDITS,
    BESIDE,
    OneOf(
        (
            Option(
                "--step",
                "what to show: a step or a tensor, like blocks.2.attn.pattern; all heads of a block, "
                "overview:blocks.2.attn.pattern; a weight, weights:blocks.0.attn.W_Q; census; check; a workspace, like "
                "lens, or workspace:heads where a step has the same name",
                metavar="NAME",
            ),
            Option(
                "--cell",
                "open a number, like 'blocks.0.attn.pattern[3,5,1]', or one of a workspace, like 'lens.kl[4,2]'",
                metavar="CELL",
            ),
        )
    ),
    Option("--layer", "the block, if the step's name does not give it", int, "L"),
    Option("--head", "the head, from 0, or several side by side, 1,5,9 (default 0; of a weight: all)", metavar="H"),
    TOKEN,
    POSITION,
    Option("--tokens", "only the rows and columns of the tokens from position A to B - 1", metavar="A:B"),
    Option("--panel", "the main picture alone: no thumbnails, nothing beside it", Kind.FLAG),
    Option("--only", "only one picture of the view, by its title or part of it", metavar="TITLE"),
    Option(
        "--limits",
        "colour limits from what is shown (view), all heads of a block (layer), or a number",
        metavar="LIMITS",
    ),
    *COLOURS,
    Option("--target", "why: the token, as text with its space (default: the likeliest)", metavar="TOKEN"),
    Option("--against", "why: the token that it is measured against", metavar="TOKEN"),
    Option("--pin", "lens, why: a token to follow; may be given again", Kind.AGAIN, "TOKEN"),
    *VIEW,
    *SAMPLING_OR_SESSION,
    Option("--size", "slide, half (a slide), column, page, poster or a0", default="slide"),
    Option("--theme", "light, dark, print or projector", default="light"),
    Option("--font-size", "body text in points; the page grows to hold it", float, "PT"),
    Option("--lang", f"language of titles and labels: {_LANGUAGES} (default {ENGLISH})", default=ENGLISH),
    Option("--dpi", "dots per inch of a PNG (default 200)", int, default=200),
    Option("--no-title", "leave out the headline and the introduction, and the title of a single picture", Kind.FLAG),
    NO_CAPTION,
    Option("--transparent", "no background", Kind.FLAG),
    Option("--data", "also write the numbers, next to the figure: csv, json or csv,json", metavar="KINDS", default=""),
)
"""All options of a figure except those of its prompt, its file and the engine."""

LISTED: Options = (IDS, SESSION, TRACE, *FIGURE, INT8)
"""The options that an entry of a list of figures may set, besides its text and file names."""

_ANALYSIS: Options = (MODEL, *ENGINE, *EDITS, *ARRAYS)
_OF_WEIGHTS: Options = (MODEL, *ENGINE, Fixed("edit", []), *ARRAYS)
_POSITION_SHOWN = Option("--position", "the position that the table shows (default: the last)", int, "N", default=-1)

TAKES: dict[str, Options] = {
    "trace": (
        *PROMPT,
        MODEL,
        *ENGINE,
        *EDITS,
        Option(
            "--names", "only these tensors, like 'blocks.0.attn.*' (tokens is always included)", Kind.SEVERAL, "GLOB"
        ),
        *_out("safetensors (or .npz, for numpy)"),
    ),
    "generate": (
        *PROMPT,
        MODEL,
        *ENGINE,
        *EDITS,
        Option("-n", "how many tokens at most (default 20)", int, "N", default=20),
        *SAMPLING,
    ),
    "figure": (OneOf((TEXT, IDS, SESSION, TRACE)), *FIGURE, *ENGINE, *_out("SVG, PDF or PNG")),
    "build": (
        Option("listing", "the list of figures, like figures.toml", Path, "FILE"),
        Option("--out-dir", "where to write (default: next to the list)", Path, "DIR"),
        Option("--jobs", "worker processes (default: one per core, at most four)", int, "N"),
        Option("--force", "make every figure again, and replace files that no build has written", Kind.FLAG),
    ),
    "deck": (
        OneOf((TEXT, IDS, SESSION, STORY), required=True),
        MODEL,
        *BEGIN,
        *ENGINE,
        *EDITS,
        BESIDE,
        Option(
            "--steps",
            "lecture (at most 18 slides with findings of this text as titles), overview (input, one block in full, one "
            "slide for each other block, output), all, block, or a list of names like "
            "tokens,blocks.*.attn.pattern,blocks.3,probabilities, which writes those alone (default lecture)",
            metavar="WHICH",
            default="lecture",
        ),
        Option("--block", "the block shown in full (default 0), or whose head a slide or lecture is about", int, "L"),
        Option("--head", "the head, counted from 0 (default 0; in a lecture: the one that shows most)", int, "H"),
        Option("--lang", f"language of titles, labels and notes: {_LANGUAGES} (default {ENGLISH})", default=ENGLISH),
        TOKEN,
        POSITION,
        Option("--limits", "colour limits of scores from this head, or all of the block", choices=("view", "layer")),
        *COLOURS,
        *VIEW,
        *SAMPLING_OR_SESSION,
        Option("--theme", "light, dark, print or projector (default light, or the one that suits the template)"),
        Option("--template", "a .pptx or .potx file whose master and layouts are used", Path, "FILE"),
        Option("--seconds", "seconds for each step in a film (default 3)", float, "S", default=3.0),
        NO_CAPTION,
        Option("--jobs", "drawing processes (default: one per core)", int, "N"),
        *_out("PPTX, PDF, GIF, WebP or MP4"),
    ),
    "clip": (
        *PROMPT,
        MODEL,
        *ENGINE,
        *SAMPLING,
        Option("--step", "the step to animate, like scores, pattern, mlp.post or temperature", required=True),
        Option("--layer", "the block of the step (default 0)", int, "L"),
        Option("--head", "the head, counted from 0 (default 0)", int, "H"),
        TOKEN,
        Option("--training", "show the step or a workspace at each snapshot of the model's training", Kind.FLAG),
        Option("--snapshots", "the same at some snapshots alone, by their steps, like 0,320,700", metavar="STEPS"),
        Option("--by", "animate cell by cell, or row by row", choices=("cell", "row"), default="cell"),
        Option("--pace", "beats (moves), or snapshots, per second (default %(default)s)", float, "N", default=1.5),
        Option("--theme", "light, dark, print or projector", default="light"),
        Option("--no-caption", "leave out the line about prompt, model and settings", Kind.FLAG),
        *_out("GIF, WebP or MP4 (or, of three moments or up to four --snapshots, SVG, PDF or PNG)"),
    ),
    "handout": (
        OneOf((TEXT, IDS, STORY), required=True),
        MODEL,
        *BEGIN,
        *ENGINE,
        *SAMPLING,
        Option("--layer", "the block of the head that is shown (default: the one that shows most)", int, "L"),
        Option("--head", "the head, counted from 0", int, "H"),
        TOKEN,
        Option("--lang", f"language of the page: {_LANGUAGES} (default {ENGLISH})", default=ENGLISH),
        *_out("HTML"),
    ),
    "lens": (
        *PROMPT,
        _token("target", "a token to follow through the points"),
        Option(
            "--translators",
            "a safetensors file with lens.L.weight and lens.L.bias for each block's input, as tuned lenses have",
            Path,
            "FILE",
        ),
        Option(
            "--of",
            "read the residual stream, or only what attention or the MLPs write, which is not a prediction "
            "(default %(default)s)",
            choices=("stream", "attn_out", "mlp_out"),
            default="stream",
        ),
        _POSITION_SHOWN,
        *_ANALYSIS,
    ),
    "attribute": (
        *PROMPT,
        _token("target", "the token whose logit is taken apart", required=True),
        _token("against", "the token that it is measured against"),
        Option(
            "--baseline",
            "without --against: measure against the mean of all tokens, or nothing (default %(default)s)",
            choices=("mean", "none"),
            default="mean",
        ),
        Option("--position", "the position that predicts (default: the last)", int, "N", default=-1),
        *_ANALYSIS,
    ),
    "score": (
        *PROMPT,
        Option(
            "--cell",
            "the score, by block, head, query and key: 'blocks.5.attn.scaled[1,18,5]'",
            metavar="CELL",
            required=True,
        ),
        *_ANALYSIS,
    ),
    "ablate": (
        *PROMPT,
        _token("target", "the token whose logit is measured", required=True),
        _token("against", "the token whose logit is subtracted", required=True),
        Option("--what", "heads, mlps, or neurons:L of block L (default %(default)s)", str, "WHAT", default="heads"),
        Option(
            "--how",
            "what replaces them: zero, or their mean over the example texts (default %(default)s)",
            choices=("zero", "mean"),
            default="zero",
        ),
        *_ANALYSIS,
    ),
    "patch": (
        Option("--clean", "the prompt that has the answer", metavar="TEXT", required=True),
        Option(
            "--corrupt",
            "the prompt without the answer; --align says which tokens correspond if it is longer or shorter",
            metavar="TEXT",
            required=True,
        ),
        *BEGIN,
        _token("target", "the token whose logit is measured", required=True),
        _token("against", "the token whose logit is subtracted", required=True),
        Option(
            "--what",
            "what is patched: a tensor, position by position, or heads (default %(default)s)",
            choices=("resid_pre", "attn_out", "mlp_out", "heads"),
            default="resid_pre",
        ),
        Option(
            "--direction",
            "denoise: from the clean prompt into the corrupt one; noise: the other way (default %(default)s)",
            choices=("denoise", "noise"),
            default="denoise",
        ),
        *_ANALYSIS,
    ),
    "heads": (Option("--seed", "the same seed gives the same random tokens (default 0)", int, default=0), *_ANALYSIS),
    "circuits": _OF_WEIGHTS,
    "directions": (
        Option(
            "sum",
            "words with signs between them, like 'uncle - man + woman'; a word stands for the token with a leading "
            "space, a word in quotes for the token as written; '= aunt' at the end asks for the rank of that token",
            metavar="SUM",
        ),
        Option("--top", "how many tokens to list (default %(default)s)", int, "N", default=10),
        Option(
            "--without-top",
            "remove the first N principal components from the rows, for when a few dimensions dominate (default 0)",
            int,
            "N",
            default=0,
        ),
        JSON,
        *_OF_WEIGHTS,
    ),
    "worksheet": (
        *PROMPT,
        MODEL,
        *SAMPLING,
        Option("--layer", "the block (default 0)", int, "L", default=0),
        Option("--head", "the head (default 0)", int, "H", default=0),
        TOKEN,
        Option("--level", "only this exercise; several may be named (default: all)", Kind.AGAIN, choices=LEVELS),
        *_out(".pdf"),
    ),
    "spreadsheet": (
        *PROMPT,
        MODEL,
        Option("--layer", "the block (default 0)", int, "L", default=0),
        Option("--head", "the head (default 0)", int, "H", default=0),
        *_out(".xlsx"),
    ),
    "scan": (
        Option(
            "texts",
            "files, folders, or patterns: plain text, .jsonl, .csv, .tsv, .parquet, each also .gz or .zst",
            Kind.SEVERAL,
            "TEXTS",
        ),
        Option(
            "--out",
            "the folder for the results; an interrupted scan resumes there",
            Path,
            "FOLDER",
            required=True,
        ),
        Option("--force", "discard another scan in that folder", Kind.FLAG),
        MODEL,
        Option(
            "--column",
            "the column or key that has the text of a record (default text)",
            metavar="NAME",
            default="text",
        ),
        Option("--window", "tokens per window (default 128)", int, "N", default=128),
        Option("--tokens", "stop reading after this many tokens", int, "N"),
        Option("--lens", "also read every block's stream through the lens, at one position in 32", Kind.FLAG),
        Option("--seed", "the seed of everything that is drawn at random (default 0)", int, "N", default=0),
        Option("--workers", "processes on this machine (default: one per core)", int, "N"),
        Option(
            "--scheduler",
            "a Dask scheduler with workers, like tcp://127.0.0.1:8786 (default local: start workers here)",
            metavar="ADDRESS",
            default="local",
        ),
        Fixed("int8", False),
        Fixed("provider", None),
    ),
    "check": (
        *PROMPT,
        MODEL,
        *ENGINE,
        *EDITS,
        Option("--json", "also write the findings to this file", Path, "FILE"),
        FORCE,
    ),
    "census": (MODEL, Option("--json", "also write the counts to this file", Path, "FILE"), FORCE),
    "onnx": (MODEL, *_out("onnx")),
}
"""The options of each command, in the order of its help."""

PROMPT_LENGTH = 128
_HUB_NAME = "OWNER/NAME[@REVISION]"
ACTIONS: dict[str, dict[str, tuple[str, Options]]] = {
    "models": {
        "list": (
            "list the models: bundled ones, added folders, downloads, and a few to download",
            (
                Option(
                    "--tokens",
                    f"the length of text for which memory is given (default {PROMPT_LENGTH})",
                    int,
                    "N",
                    default=PROMPT_LENGTH,
                ),
                Option("--json", "as JSON", Kind.FLAG),
            ),
        ),
        "get": (
            "download models from the Hugging Face Hub, or resume their download; branches may be snapshots",
            (Option("name", kind=Kind.SEVERAL, metavar=_HUB_NAME),),
        ),
        "add": ("add a folder to the list of models", (Option("folder", kind=Path, metavar="DIR"),)),
        "remove": (
            "delete a download, or take a folder off the list (its files stay)",
            (Option("name", metavar=f"{_HUB_NAME}|DIR"),),
        ),
        "check": (
            "report what a model's files contain and, tensor by tensor, what is wrong",
            (Option("model", metavar="DIR|MODEL"), Option("--all", "also list tensors without faults", Kind.FLAG)),
        ),
    }
}
"""Commands with subcommands -> the description of each subcommand in one line, and its options."""

WINDOW: Options = (
    _model("the one that was open last"),
    *ENGINE,
    Option("--prompt", "the text to start with", metavar="TEXT"),
    Option("session", "a session file to open", Path, "SESSION", maybe=True),
    Option("--selftest", "test everything that is part of the program, and quit", Kind.FLAG),
    Option("--json", "with --selftest: print the results as JSON, with settings and log", Kind.FLAG),
    LOG_LEVEL,
)


def parser_of(name: str, about: str, *, log_level: bool = True) -> argparse.ArgumentParser:
    """The parser of the arguments that follow a command's name."""
    parser = argparse.ArgumentParser(prog=f"logitscope {name}", description=about, allow_abbrev=False)
    if name in ACTIONS:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        for action, (words, options) in ACTIONS[name].items():
            declare(actions.add_parser(action, help=words), options)
    else:
        declare(parser, TAKES[name])
    if log_level:
        declare(parser, (LOG_LEVEL,))
    return parser
