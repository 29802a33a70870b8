"""The table of all commands. Menus, shortcuts, the command palette and the help page read it."""

from dataclasses import replace

from desktop_app.core.analysis.measures import SCORES
from desktop_app.core.asking import command_changes as do
from desktop_app.core.asking.command import (
    PACE,
    Command,
    baseline,
    choice,
    going,
    going_by_block,
    going_by_head,
    going_to,
    opening,
    showing,
    switch,
)
from desktop_app.core.session.state import WALK
from desktop_app.core.steps import texts
from desktop_app.core.workspaces import WORKSPACES

_PACES = ((0, "full speed"), (4, "4 tokens a second"), (2, "2 tokens a second"), (1, "1 token a second"))
_TABS = (
    showing(WALK, "Walk", ("Ctrl+1",), "Walk"),
    *(
        showing(spec.key, words.name, spec.keys, words.short or words.name)
        for spec, words in ((spec, texts()[spec.op]) for spec in WORKSPACES if spec.keys)
    ),
)


_COMPARE = tuple(
    replace(
        choice(f"compare_{value}", title, short, "compare", value, "" if value == "after" else "after", "What if"),
        keys=keys,
        needs=needs,
    )
    for value, title, short, keys, needs in (
        ("after", "This prompt, after the edits", ("this, after", "after"), (), "beside"),
        ("before", "Before the edits", ("before", "before"), ("Ctrl+Shift+B",), "changed"),
        ("change", "What the edits change", ("change", "Δ"), ("Ctrl+Shift+D",), "changed"),
        ("both", "After, before and the change side by side", ("all three", "both"), ("Ctrl+Shift+S",), "changed"),
        ("other", "The other prompt or model alone", ("the other", "other"), (), "other"),
        (
            "pair",
            "Side by side, and the difference",
            ("side by side", "pair"),
            ("Ctrl+Shift+T",),
            "other",
        ),
    )
)


_SWEEP = (
    *(
        choice(f"sweep_{value}", f"Sweep: {title}", short, "sweep", value, menu="Sweep")
        for value, title, short in (
            ("heads", "mute each head", ("heads", "heads")),
            ("mlps", "mute each MLP", ("MLPs", "MLPs")),
            ("strongest", "mute the strongest neurons", ("neurons", "neurons")),
            ("resid_pre", "put each residual vector of the other prompt", ("resid_pre", "resid")),
            ("attn_out", "put what attention writes there", ("attn_out", "attn")),
            ("mlp_out", "put what the MLPs write there", ("mlp_out", "mlp")),
            ("from_heads", "put what each head read there", ("z", "z")),
        )
    ),
    choice("sweep_zero", "Sweep: mute to 0", ("to 0", "0"), "sweep_how", "zero", "mean", "Sweep"),
    choice("sweep_out", "Sweep: into the other prompt", ("into the other", "out"), "sweep_way", "out", "in", "Sweep"),
)


_WHAT_IF = (
    Command("edit_mute", "Mute what is pointed at: its mean; cut an attention weight", "What if", ("Ctrl+U",), "scene"),
    Command("edit_zero", "Mute what is pointed at: 0", "What if", ("Ctrl+Shift+U",), "scene"),
    Command("edit_other", "Take what is pointed at from the other prompt", "What if", ("Ctrl+Shift+O",), "scene"),
    Command("edit_take", "Copy the cell pointed at in the other prompt", "What if", ("Ctrl+J",), "other"),
    Command("edit_put", "Patch in the copied cell here", "What if", ("Ctrl+Shift+J",), "other"),
    Command("edit_menu", "Edit what is pointed at …", "What if", ("Ctrl+I",), "scene"),
    Command("edit_write", "Write an edit …", "What if", ("Ctrl+Shift+I",), "scene"),
    Command("edit_steer", "Steer from one text to another …", "What if", (), "scene"),
    Command("edit_edge", "From an earlier head of the other prompt into a head …", "What if", (), "other"),
    Command("edit_across", "Heads that read the other prompt's keys and values …", "What if", (), "other"),
    Command("edit_chips", "To the edits' chips", "What if", ("Ctrl+K",), "edits"),
    Command("edit_all", "Every edit off, or on again", "What if", ("Ctrl+Shift+K",), "edits", change=do.switch_edits),
    Command("edit_clear", "Remove every edit and the mask", "What if", (), "edits", change=do.without_changes),
    Command("mask_write", "The mask …", "What if", (), "scene"),
    Command("other_write", "The other prompt …", "What if", ("Ctrl+Shift+L",), "scene"),
    Command("other_keep", "Keep this as the other prompt", "What if", (), "scene", change=do.keep_other),
    Command("other_swap", "Swap the two prompts", "What if", (), "other_prompt", change=do.swap_prompts),
    Command("beside_model", "Another model beside this one …", "What if", ("Ctrl+Alt+L",), "scene"),
    Command("beside_none", "Remove the other model", "What if", (), "beside_model", change=do.without_model),
    *_COMPARE,
)


_HEADS = (
    *(
        choice(f"heads_{value}", f"Heads: {title}", short, "heads", value, menu="Heads")
        for value, title, short in (
            ("patterns", "every head's pattern", ("patterns", "all")),
            ("scores", "a score of every head", ("scores", "score")),
            ("one", "the shown head", ("one head", "one")),
            ("weights", "the shown head by its weights", ("its weights", "weights")),
            ("block", "mean over the heads of the block", ("block's mean", "block")),
            ("mean", "mean over all heads", ("mean", "mean")),
            ("rollout", "attention rollout", ("rollout", "roll")),
        )
    ),
    choice("heads_arcs", "Heads: arcs over a head's text", ("arcs", "arcs"), "heads_form", "arcs", "shaded", "Heads"),
    *(
        choice(f"heads_by_{value}", f"Heads: order by {words}", ("", ""), "heads_by", value, menu="Heads")
        for value, words in SCORES.items()
    ),
    choice(
        "heads_by_like", "Heads: most like this one", ("most like it", "like"), "heads_by", "like", "induction", "Heads"
    ),
    choice("heads_labelled", "Heads: list those with a label", ("", ""), "heads_of", "labelled", "all", "Heads"),
    choice("heads_of_block", "Heads: list those of the block", ("", ""), "heads_of", "block", "all", "Heads"),
    Command("head_in_walk", "Show this head in the walk", "Heads", (), "scene", change=do.head_in_walk),
)

_LENS = (
    *(
        choice(f"lens_{value}", f"Lens: {title}", short, "lens", value, menu="Lens")
        for value, title, short in (
            ("token", "the likeliest token", ("token", "token")),
            ("probability", "probability of a token", ("probability", "prob.")),
            ("rank", "rank of a token", ("rank", "rank")),
            ("entropy", "entropy", ("entropy", "H")),
            ("kl", "distance from the model's output", ("KL", "KL")),
        )
    ),
    choice("lens_attention", "Lens: what attention alone writes", ("", ""), "lens_of", "attn_out", "stream", "Lens"),
    choice("lens_mlp", "Lens: what the MLPs alone write", ("", ""), "lens_of", "mlp_out", "stream", "Lens"),
    Command(
        "lens_translators",
        "Lens: through translators from a file …",
        "Lens",
        (),
        "scene",
        True,
        on=lambda state, _: bool(state.translators),
    ),
)


_EVIDENCE = (
    *(
        choice(f"evidence_{value}", f"Evidence: {title}", short, "evidence", value, menu="Evidence")
        for value, title, short in (
            ("strongest", "a neuron's strongest passages", ("strongest", "top")),
            ("deciles", "a neuron's passages by tenths", ("by tenths", "tenths")),
            ("heads", "passages where a head writes most", ("head", "head")),
        )
    ),
    Command(
        "evidence_active",
        "Evidence: the neuron most active here",
        "Evidence",
        (),
        "scene",
        True,
        change=do.most_active,
        on=lambda state, _: state.neuron is None and state.view.evidence != "heads",
        short=("most active here", "here"),
    ),
    Command(
        "evidence_open",
        "Evidence: from a scan's folder …",
        "Evidence",
        (),
        "scene",
        True,
        on=lambda state, _: bool(state.evidence),
    ),
)

_CIRCUITS = (
    *(
        choice(f"circuits_{value}", f"Circuits: {title}", (short, short), "circuits", value, menu="Circuits")
        for value, title, short in (
            ("all", "what query, key and value read", "all"),
            ("q", "what queries read", "Q"),
            ("k", "what keys read", "K"),
            ("v", "what values read", "V"),
        )
    ),
    choice(
        "circuits_own",
        "Circuits: pairs of the shown head alone",
        ("shown head", "head"),
        "circuits_of",
        "head",
        "all",
        "Circuits",
    ),
    choice(
        "embedding_alone",
        "Circuits: tokens as embedded, not after block 0's MLP",
        ("embedding alone", "embed."),
        "stands_for",
        "embedding",
        "mlp0",
        "Circuits",
    ),
)


_DIRECTIONS = (
    *(
        choice(f"directions_{value}", f"Directions: {title}", (short, short), "directions", value, menu="Circuits")
        for value, title, short in (
            ("sum", "tokens nearest to a sum", "nearest"),
            ("ruler", "a direction as a ruler", "ruler"),
            ("plane", "the text in a plane", "plane"),
        )
    ),
    choice(
        "rows_trimmed",
        "Rows without their largest components",
        ("without the largest components", "trimmed"),
        "rows",
        "trimmed",
        "centred",
        "Circuits",
    ),
    choice(
        "map_components", "Map: two principal components", ("components", "PCA"), "map", "components", menu="Circuits"
    ),
    choice(
        "map_neighbours",
        "Map: neighbours stay neighbours",
        ("neighbours", "near"),
        "map",
        "neighbours",
        menu="Circuits",
    ),
    Command("map_text", "Map: around the text's token", "Circuits", (), "scene", change=do.map_text),
    Command(
        "map_whole",
        "Map: all of it",
        "Circuits",
        (),
        "scene",
        change=do.map_whole,
        short=("all of it", "all"),
    ),
    choice(
        "superposition_embedding",
        "Superposition: tokens' rows",
        ("tokens", "tokens"),
        "superposition",
        "embedding",
        menu="Circuits",
    ),
    choice(
        "superposition_neurons",
        "Superposition: the block's neurons",
        ("neurons", "neurons"),
        "superposition",
        "neurons",
        menu="Circuits",
    ),
    Command(
        "ruler_keep",
        "Directions: save this direction, or remove it from the saved ones",
        "Circuits",
        (),
        "scene",
        True,
        do.keep_ruler,
        lambda state, _model: state.view.direction.strip() in state.rulers,
    ),
    Command("ruler_next", "Directions: the next saved direction", "Circuits", (), "scene", change=do.next_ruler),
    Command(
        "ruler_steer",
        "Directions: add this direction to the pass",
        "Circuits",
        ("Ctrl+Alt+S",),
        "scene",
        change=do.steer,
        short=("add to the pass", "add"),
    ),
)

_LOOK = (
    Command("why_look", "Why this look", "Look", ("Ctrl+B",), "scene"),
    choice(
        "look_relative",
        "Why this look: less the row's mean",
        ("less the mean", "less mean"),
        "look",
        "relative",
        menu="Look",
    ),
    choice("look_raw", "Why this look: the score as it is", ("raw", "raw"), "look", "raw", menu="Look"),
    *(
        choice(f"look_{value}", f"Why this look: {title}", (short, short), "look_parts", value, menu="Look")
        for value, title, short in (
            ("heads", "heads and MLPs as parts", "heads"),
            ("sublayers", "attention and MLP of each block as parts", "sublayers"),
            ("blocks", "blocks as parts", "blocks"),
            ("kinds", "kinds of parts", "kinds"),
            ("parts", "every part, biases too", "parts"),
        )
    ),
)

_STORY = (
    Command("snapshot_next", "Training: the next snapshot", "Training", ("Ctrl+Alt+Right",), "training"),
    Command("snapshot_previous", "Training: the previous snapshot", "Training", ("Ctrl+Alt+Left",), "training"),
    Command("snapshot_first", "Training: the first snapshot", "Training", ("Ctrl+Alt+Home",), "training"),
    Command("snapshot_last", "Training: the last snapshot", "Training", ("Ctrl+Alt+End",), "training"),
    Command("snapshot_beside", "Training: the previous snapshot beside this one", "Training", (), "training"),
    Command("snapshot_play", "Training: play it, or pause", "Training", ("Ctrl+Alt+P",), "training"),
    Command("snapshot_export", "Training: export it as a clip or a figure …", "Training", (), "training"),
    Command("story_next", "Next stop of the story", "Story", ("Ctrl+Shift+PgDown",), "story"),
    Command("story_previous", "Previous stop of the story", "Story", ("Ctrl+Shift+PgUp",), "story"),
    Command("story_back", "Back to the stop of the story", "Story", ("Alt+Home",), "story"),
    Command("story_reveal", "Reveal the answer", "Story", ("Ctrl+Shift+R",), "story"),
    Command("story_close", "Leave the story", "Story", (), "story"),
    Command("open_story", "Open story …", "Story", (), "always"),
    Command("edit_story", "Edit the story, or begin one …", "Story", (), "scene"),
    Command("add_stop", "Add what is shown to a story …", "Story", ("Ctrl+Shift+A",), "scene"),
    Command("cover", "Cover the numbers, and show them again", "Story", ("Ctrl+H",), "scene", True),
)

COMMANDS: tuple[Command, ...] = (
    Command("open_session", "Open session …", "File", ("Ctrl+O",), "always"),
    Command("save_session", "Save session …", "File", ("Ctrl+S",)),
    Command("open_models", "Models …", "File", ("Ctrl+Shift+M",), "always"),
    Command("open_model", "Open model folder …", "File", ("Ctrl+M",), "always"),
    Command(
        "int8",
        "Weights rounded to int8: faster, not exact",
        "File",
        (),
        "model",
        True,
        do.int8,
        do.is_int8,
    ),
    Command("stop_loading", "Stop opening the model", "File", (), "loading"),
    Command("export", "Export figure …", "File", ("Ctrl+E",), "scene"),
    Command("deck", "Export the walk …", "File", ("Ctrl+Shift+E",), "scene"),
    Command("copy", "Copy figure", "File", ("Ctrl+Shift+C",), "scene"),
    Command("quit", "Quit", "File", ("Ctrl+Q",), "always"),
    Command("undo", "Undo", "Edit", ("Ctrl+Z",), "undo"),
    Command("redo", "Redo", "Edit", ("Ctrl+Shift+Z", "Ctrl+Y"), "redo"),
    Command("focus_prompt", "Edit the prompt", "Edit", ("Ctrl+L",), "always"),
    Command("prepend", "Begin with <|endoftext|>", "Edit", (), "first", True, do.begin_first, do.begins_there),
    Command("space", "Begin with a space", "Edit", (), "space", True, do.space_first, do.is_spaced),
    Command("find_token", "Find a token …", "Edit", ("Ctrl+F",), "scene"),
    Command("next", "Next step", "Go", ("PgDown",), "scene", change=going(1)),
    Command("previous", "Previous step", "Go", ("PgUp",), "scene", change=going(-1)),
    Command("next_block", "Next block", "Go", ("Ctrl+PgDown",), "scene", change=going_by_block(1)),
    Command("previous_block", "Previous block", "Go", ("Ctrl+PgUp",), "scene", change=going_by_block(-1)),
    Command("next_head", "Next head", "Go", ("Ctrl+Down",), "scene", change=going_by_head(1)),
    Command("previous_head", "Previous head", "Go", ("Ctrl+Up",), "scene", change=going_by_head(-1)),
    Command("first", "First step", "Go", ("Ctrl+Home",), "scene", change=going_to(0)),
    Command("last", "Last step", "Go", ("Ctrl+End",), "scene", change=going_to(-1)),
    Command("back", "Back", "Go", ("Alt+Left",), "scene"),
    Command("forward", "Forward", "Go", ("Alt+Right",), "scene"),
    *_TABS,
    *_STORY,
    Command("play", "Play", "Go", ("F5",), "scene", True),
    Command("motion", "Animate how this step is computed", "Go", ("Shift+F5",), "scene"),
    Command("motion_play", "Motion: play or pause", "Go", ("Ctrl+Shift+Space",), "motion"),
    Command("motion_next", "Motion: the next beat", "Go", ("Ctrl+Shift+Right",), "motion"),
    Command("motion_previous", "Motion: the previous beat", "Go", ("Ctrl+Shift+Left",), "motion"),
    Command("motion_export", "Motion: export it as a clip …", "Go", (), "motion"),
    Command("draw", "Draw", "Sample", ("Ctrl+D",), "scene", change=do.draw_again, joined=True),
    Command("append", "Append the drawn token", "Sample", ("Ctrl+Return",), "room"),
    Command(
        "greedy", "Greedy", "Sample", ("Ctrl+G",), "scene", True, do.greedy, lambda state, _: state.sampling.greedy
    ),
    Command("run", "Run on", "Sample", ("Ctrl+R",), "room"),
    *(Command(f"{PACE}{pace}", f"Run on at {words}", "Sample", (), "always", True) for pace, words in _PACES),
    Command("stop", "Stop", "Sample", ("Ctrl+.",), "running"),
    Command("theme", "Light or dark", "View", ("Ctrl+T",), "always"),
    Command("larger", "Larger type", "View", ("Ctrl++", "Ctrl+="), "always"),
    Command("smaller", "Smaller type", "View", ("Ctrl+-",), "always"),
    Command("normal", "Normal type", "View", ("Ctrl+0",), "always"),
    Command(
        "every_number",
        "Every number as a colour",
        "View",
        ("Ctrl+Shift+N",),
        "scene",
        True,
        short=("every number", "numbers"),
    ),
    choice("scale_linear", "Patterns on a linear scale", ("linear", "lin"), "pattern_scale", "linear"),
    choice("scale_sqrt", "Patterns on a square-root scale", ("√", "√"), "pattern_scale", "sqrt"),
    choice("scale_log", "Patterns on a logarithmic scale", ("log", "log"), "pattern_scale", "log"),
    switch("skip_first", "Leave position 0 out", ("without position 0", "skip 0")),
    switch("keys_down", "Queries as columns of attention grids", ("queries as columns", "turned")),
    switch("sort_neurons", "Sort neurons by activity", ("sorted", "sorted")),
    choice(
        "layer_limits",
        "One colour scale for all heads of a block",
        ("one scale for the block", "one scale"),
        "limits",
        "layer",
        "view",
    ),
    Command("map", "Map of the steps", "View", ("F2",), "always", True),
    Command("bars", "Next tokens", "View", ("F3",), "always", True),
    Command("sampling", "Sampling controls", "View", ("F4",), "always", True),
    Command("explain", "Explain and Inspect", "View", ("F6",), "always", True),
    Command("chips", "Tokens of the text", "View", ("F7",), "always", True),
    Command("lecture", "Lecture: the picture alone", "View", ("F11",), "always", True),
    Command("spotlight", "Dim all but the cell under the pointer", "View", ("F8",), "always", True),
    Command("focus_panel", "One panel alone, and all again", "View", ("F9",), "scene"),
    Command("projector", "Colours for a weak projector", "View", (), "always", True),
    Command("limit", "Set the limit of the colours …", "View", (), "scene"),
    Command("why_target", "Why: choose the token …", "View", (), "scene", short=("token …", "token …")),
    baseline("why_mean", "Why: against the average token", ("against the average", "average"), "mean"),
    baseline("why_none", "Why: the bare logit, against nothing", ("nothing", "nothing"), "none"),
    Command(
        "why_against",
        "Why: against another token …",
        "View",
        (),
        "scene",
        True,
        on=lambda state, _: state.against is not None,
        short=("another token …", "token …"),
    ),
    switch("effects", "Why: the effect of muting each part", ("effects of muting", "effects")),
    choice("flow_1", "Flow: edges of 1 % or more", ("≥ 1 %", "1 %"), "flow", "0.01"),
    choice("flow_2", "Flow: edges of 2 % or more", ("≥ 2 %", "2 %"), "flow", "0.02"),
    choice("flow_4", "Flow: edges of 4 % or more", ("≥ 4 %", "4 %"), "flow", "0.04"),
    choice("flow_10", "Flow: edges of 10 % or more", ("≥ 10 %", "10 %"), "flow", "0.1"),
    *_HEADS,
    *_LENS,
    *_LOOK,
    *_EVIDENCE,
    *_CIRCUITS,
    *_DIRECTIONS,
    *_WHAT_IF,
    *_SWEEP,
    Command("check_all", "Check every tensor of this text", "Inspect", (), "scene", change=opening("check")),
    Command("open_weight", "Open a weight …", "Inspect", ("Ctrl+W",), "scene"),
    Command("open_census", "Count the parameters", "Inspect", (), "scene", change=opening("census")),
    Command("copy_numpy", "Copy the number or step as numpy", "Inspect", (), "scene"),
    Command("close_inspector", "Close the inspector", "Inspect", (), "path", change=opening()),
    Command("palette", "Find anything …", "Help", ("Ctrl+Shift+P",), "always"),
    Command("help", "Keys and commands", "Help", ("F1",), "always"),
    Command("copy_diagnostics", "Copy diagnostics", "Help", (), "always"),
    Command("about", "About Logitscope", "Help", (), "always"),
)

_BY_ID = {command.id: command for command in COMMANDS}


def find_command(name: str) -> Command:
    """The command with this id."""
    return _BY_ID[name]
