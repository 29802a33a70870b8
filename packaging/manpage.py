"""The manual page, logitscope(1), generated from the tables of commands and options."""

import argparse

from desktop_app import __version__, cli
from desktop_app.cli.options import parser_of

_NOT_SHOWN = (argparse.SUPPRESS, "==SUPPRESS==")


def manual(date: str) -> str:
    """The page in man(7) markup; `date` as in 2026-01-31."""
    window = cli._window_parser()
    lines = [
        f'.TH LOGITSCOPE 1 {date} "Logitscope {__version__}" "User Commands"',
        ".SH NAME",
        r"logitscope \- a desktop microscope for GPT\-2",
        ".SH SYNOPSIS",
        ".B logitscope",
        r"[\fB\-\-model\fR \fIMODEL\fR] [\fB\-\-prompt\fR \fITEXT\fR] [\fISESSION\fR]",
        ".br",
        ".B logitscope",
        r"\fICOMMAND\fR [\fIOPTIONS\fR]",
        ".SH DESCRIPTION",
        _escaped(
            "Type a prompt, and step through the real forward pass of a GPT-2: tokens, embeddings, queries, keys and "
            "values, the attention of every head, neurons, the residual stream, logits, and the next token's "
            "probabilities under temperature, top-k and top-p. Every view can be exported as a figure. Every number "
            "and every colour is computed by the loaded model from the typed prompt."
        ),
        ".PP",
        _escaped("Without a command the window opens, with a saved SESSION if one is given."),
        ".SH OPTIONS",
        *_options(window),
        ".SH COMMANDS",
        _escaped("All of them run without a display."),
    ]
    for name, about in cli.COMMANDS.items():
        parser = parser_of(name, about, log_level=False)
        lines += [f'.SS "logitscope {_escaped(name)}"', _escaped(about[0].upper() + about[1:] + ".")]
        lines += _options(parser)
    lines += [
        ".SH EXIT STATUS",
        *(".TP", ".B 0", "Done."),
        *(".TP", ".B 1", "A command ran and found a difference, or a check of the self-test failed."),
        *(".TP", ".B 2", "Bad input, a file that cannot be read or written, or no network."),
        ".SH FILES",
        ".TP",
        r".I $XDG_CONFIG_HOME/logitscope/settings.json",
        _escaped("What the program remembers between starts (~/.config where XDG_CONFIG_HOME is not set)."),
        ".TP",
        r".I $XDG_STATE_HOME/logitscope/last.logitscope",
        _escaped("The session, saved within a second of each change (~/.local/state where it is not set)."),
        ".TP",
        r".I $XDG_STATE_HOME/logitscope/logitscope.log",
        _escaped("The log, without typed texts; every command's --log-level sets how much is logged."),
        *(".TP", ".I ~/.cache/huggingface/hub"),
        _escaped("Downloaded models, in a cache shared with other programs; `logitscope models remove` deletes one."),
        ".SH ENVIRONMENT",
        *(".TP", ".B NO_COLOR"),
        "If set, no command colours its output.",
        *(".TP", ".B HF_HOME"),
        "The folder for downloads, instead of ~/.cache/huggingface.",
        *(".TP", ".B HF_ENDPOINT"),
        "The address of the hub that models come from.",
        *(".TP", ".B HF_TOKEN"),
        "Your access token, for private and gated models.",
        *(".TP", ".B HF_HUB_OFFLINE"),
        "If 1, nothing is downloaded.",
    ]
    return "\n".join(lines) + "\n"


def _options(parser: argparse.ArgumentParser) -> list[str]:
    lines = []
    for action in parser._actions:
        if action.help in _NOT_SHOWN:
            continue
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, parser_of_it in action.choices.items():
                lines += [".TP", " ".join([rf"\fB{_escaped(name)}\fR", *_unexplained(parser_of_it)])]
                lines += [_escaped(about[name]), ".RS", *_options(parser_of_it), ".RE"]
            continue
        if action.dest == "help" or not action.help:
            continue
        value = action.metavar or action.dest.upper()
        if action.choices and not action.metavar:
            value = "|".join(map(str, action.choices))
        shown = rf"\fI{_escaped(str(value))}\fR" if value and action.nargs != 0 else ""
        names = ", ".join(rf"\fB{_escaped(name)}\fR" for name in action.option_strings)
        text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
        lines += [".TP", f"{names} {shown}".strip(), _escaped(text)]
    return lines


def _unexplained(parser: argparse.ArgumentParser) -> list[str]:
    """The arguments without help text, which are written next to their command."""
    return [rf"\fI{_escaped(str(action.metavar))}\fR" for action in parser._actions if not action.help]


def _escaped(text: str) -> str:
    """Text escaped for roff: hyphens that can be copied, no line beginning with a control character."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("…", r"\&...").replace("×", r"\(mu")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    import sys

    print(manual(sys.argv[1]), end="")
