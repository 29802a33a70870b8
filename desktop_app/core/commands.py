"""The one table of commands: menus, shortcuts, the command palette and the help page all read it."""

from dataclasses import dataclass

from desktop_app.core.state import WALK
from desktop_app.core.steps import WORKSPACES, texts


@dataclass(frozen=True)
class Command:
    """A command. `keys` are Qt key sequences, the first is shown; `needs` says when it is enabled."""

    id: str
    title: str
    menu: str
    keys: tuple[str, ...] = ()
    needs: str = "model"
    checkable: bool = False


WORKSPACE = "workspace:"
"""How the id of a command begins that shows a workspace; its key follows."""

_TABS = tuple(
    Command(f"{WORKSPACE}{key}", name, "Go", keys, "scene", True)
    for key, name, keys in (
        (WALK, "The walk", ("Ctrl+1",)),
        *((spec.key, texts()[spec.op].name, spec.keys) for spec in WORKSPACES if spec.keys),
    )
)

COMMANDS: tuple[Command, ...] = (
    Command("open_session", "Open session …", "File", ("Ctrl+O",), "always"),
    Command("save_session", "Save session …", "File", ("Ctrl+S",)),
    Command("open_models", "Models …", "File", ("Ctrl+Shift+M",), "always"),
    Command("open_model", "Open model folder …", "File", ("Ctrl+M",), "always"),
    Command("int8", "Weights rounded to int8: faster, not exact", "File", (), "model", True),
    Command("stop_loading", "Stop opening the model", "File", (), "loading"),
    Command("export", "Export figure …", "File", ("Ctrl+E",), "scene"),
    Command("deck", "Export the walk …", "File", ("Ctrl+Shift+E",), "scene"),
    Command("copy", "Copy figure", "File", ("Ctrl+Shift+C",), "scene"),
    Command("quit", "Quit", "File", ("Ctrl+Q",), "always"),
    Command("undo", "Undo", "Edit", ("Ctrl+Z",), "undo"),
    Command("redo", "Redo", "Edit", ("Ctrl+Shift+Z", "Ctrl+Y"), "redo"),
    Command("focus_prompt", "Edit the prompt", "Edit", ("Ctrl+L",), "always"),
    Command("prepend", "Begin with <|endoftext|>", "Edit", (), "first", True),
    Command("space", "Begin with a space", "Edit", (), "space", True),
    Command("find_token", "Find a token …", "Edit", ("Ctrl+F",), "scene"),
    Command("next", "Next step", "Go", ("PgDown",), "scene"),
    Command("previous", "Previous step", "Go", ("PgUp",), "scene"),
    Command("next_block", "Next block", "Go", ("Ctrl+PgDown",), "scene"),
    Command("previous_block", "Previous block", "Go", ("Ctrl+PgUp",), "scene"),
    Command("next_head", "Next head", "Go", ("Ctrl+Down",), "scene"),
    Command("previous_head", "Previous head", "Go", ("Ctrl+Up",), "scene"),
    Command("first", "First step", "Go", ("Ctrl+Home",), "scene"),
    Command("last", "Last step", "Go", ("Ctrl+End",), "scene"),
    Command("back", "Back", "Go", ("Alt+Left",), "scene"),
    Command("forward", "Forward", "Go", ("Alt+Right",), "scene"),
    *_TABS,
    Command("play", "Play", "Go", ("F5",), "scene", True),
    Command("draw", "Draw", "Sample", ("Ctrl+D",), "scene"),
    Command("append", "Append the drawn token", "Sample", ("Ctrl+Return",), "room"),
    Command("greedy", "Greedy", "Sample", ("Ctrl+G",), "scene", True),
    Command("run", "Run on", "Sample", ("Ctrl+R",), "room"),
    Command("stop", "Stop", "Sample", ("Ctrl+.",), "running"),
    Command("theme", "Light or dark", "View", ("Ctrl+T",), "always"),
    Command("larger", "Larger type", "View", ("Ctrl++", "Ctrl+="), "always"),
    Command("smaller", "Smaller type", "View", ("Ctrl+-",), "always"),
    Command("normal", "Normal type", "View", ("Ctrl+0",), "always"),
    Command("skip_first", "Leave position 0 out", "View", (), "scene", True),
    Command("keys_down", "Queries as columns of attention grids", "View", (), "scene", True),
    Command("sort_neurons", "Sort neurons by activity", "View", (), "scene", True),
    Command("limit", "Set the limit of the colours …", "View", (), "scene"),
    Command("layer_limits", "One colour scale for all heads of a block", "View", (), "scene", True),
    Command("scale_linear", "Patterns on a linear scale", "View", (), "scene"),
    Command("scale_sqrt", "Patterns on a square-root scale", "View", (), "scene"),
    Command("scale_log", "Patterns on a logarithmic scale", "View", (), "scene"),
    Command("check_all", "Check every tensor of this text", "Inspect", (), "scene"),
    Command("open_weight", "Open a weight …", "Inspect", ("Ctrl+W",), "scene"),
    Command("open_census", "Count the parameters", "Inspect", (), "scene"),
    Command("copy_numpy", "Copy the number or step as numpy", "Inspect", (), "scene"),
    Command("close_inspector", "Close the inspector", "Inspect", (), "path"),
    Command("palette", "All commands …", "Help", ("Ctrl+Shift+P", "F1"), "always"),
    Command("about", "About Logitscope", "Help", (), "always"),
)
