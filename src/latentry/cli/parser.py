"""The parser of the command line: flags and config files from dataclasses of settings, every refusal one sentence."""

import argparse
import contextlib
import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, set_loader, set_parsing_settings

from latentry.cli.help import FullHelp, ShortHelp
from latentry.cli.verbs import LATENTRY, Program, Verb
from latentry.names import hint
from latentry.paths import user_path

__all__ = ["UsageError", "refuse_unknown_variables", "verb_and_values", "verbs_parser", "with_shipped_configs"]

_CONFIGS = Path(__file__).parents[1] / "configs"
_PREFIX = "LATENTRY"
_ENVIRONMENT: dict[str, Any] = {"default_env": True, "env_prefix": _PREFIX}


class UsageError(Exception):
    """A word, a file or a variable of the environment is not one that a verb has; the message names it."""


class _PlainLoader(yaml.SafeLoader):
    """YAML as its version 1.2 has it: `no` and `on` are words, `3:8:45` and dates are too; true and false are not.

    A key that comes twice is refused.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                line = key.start_mark.line + 1
                raise ValueError(f"expected each setting once, got {key.value!r} again in line {line}; leave one out")
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else key)
        return node


_PlainLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", [*"-+."]),
    ("merge", r"<<", ["<"]),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)


_PlainLoader.add_constructor(
    "tag:yaml.org,2002:int", lambda loader, node: int(str(node.value), 16 if "x" in node.value else 10)
)


def _load(text: str, path: str = "") -> Any:
    """Values from YAML.

    Raises:
        ValueError: This is a file, and holds no settings; or a key comes twice, or values are nested too deep.
    """
    try:
        content = yaml.load(text, Loader=_PlainLoader)
    except RecursionError:
        raise ValueError(
            "expected settings within settings, got hundreds of levels within each other; write fewer"
        ) from None
    if path and not isinstance(content, dict):
        kind = "nothing" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"expected settings, NAME: VALUE on each line, got {kind}")
    return content


# no setting is a class: whatever a file, a flag or the environment names, nothing is imported because of it
set_parsing_settings(
    docstring_parse_attribute_docstrings=True, add_print_completion_argument=True, import_path_denylist=["*"]
)
set_loader("yaml", _load, exceptions=(yaml.YAMLError, ValueError))


class _Parser(ArgumentParser):
    """A parser that raises its errors, so that one place prints them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=ShortHelp, **{**_ENVIRONMENT, **options})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:  # a parser inside a parser, which tries
            super().error(message, ex)
        if found := re.search(_MISSING, message):
            words = f"{_words(self)} {found[1].replace('.', ' ').strip()}".strip()
            raise UsageError(f"expected a value of --{found[2]}, got none; `{words} --help` says what it is") from None
        refusing = getattr(ex, "subcommand_parser", None) or self
        text = _with_its_list(_plain(message), refusing)
        raise UsageError(f"{text}; `{_words(refusing)} --help` lists what there is") from None

    def parse_path(self, cfg_path: Any, *rest: Any, **options: Any) -> Any:
        """Settings from a file, whose name every refusal says."""
        with _naming(str(cfg_path)):
            self._refuse_unknown(user_path(str(cfg_path)).read_text(encoding="utf-8"))
            return super().parse_path(cfg_path, *rest, **options)

    def _refuse_unknown(self, text: str) -> None:
        """Name the first key that is no setting; jsonargparse names some, and fails on others."""
        with contextlib.suppress(ValueError, yaml.YAMLError):  # of which the parser has an error of its own
            known = [action.dest for action in self._actions]
            for key in _keys(_load(text)):
                if key not in known:
                    advice = hint(key, known, f"`{_words(self)} --help_all` lists the settings")
                    raise UsageError(f"expected settings of `{_words(self)}`, got {key!r}; {advice}")


def _keys(content: Any, above: str = "") -> Iterator[str]:
    """Keys of mappings, with dots where one is within another."""
    for key, value in content.items() if isinstance(content, dict) else ():
        yield f"{above}{key}"
        yield from _keys(value, f"{above}{key}.")


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected text in UTF-8, got something else ({error}); save it as UTF-8") from None


def _words(parser: ArgumentParser) -> str:
    """`latentry train gan` of a parser that calls itself `latentry [options] train [options] gan`."""
    return parser.prog.replace(" [options]", "")


def _plain(message: str) -> str:
    """A refusal of jsonargparse in the words of this command line."""
    text = " ".join(message.split())
    text = re.sub(r'Parser key "([^"]+)":', lambda found: f"--{found[1]}:", text)
    text = re.sub(r"<class '(\w+)'>", lambda found: _KINDS.get(found[1], found[1]), text)
    text = re.sub(r"(?:typing\.)?Literal\[([^]]*)\]", lambda found: found[1].replace("'", "").replace(", ", " or "), text)
    text = re.sub(_UNION, lambda found: f"expected {found[1].replace(', ', ' or ')}, got {found[2] or 'nothing'}", text)
    text = re.sub(r"\btuple with (\d+) elements", r"a list of \1 in brackets, as [ONE,TWO]", text)
    text = re.sub(_CHOICE, lambda found: f"expected a command, one of {found[1]}, got none", text)
    text = re.sub(r"\bExpected (?:a )?", "expected ", text.replace("Problems parsing config: ", ""))
    return text.replace(". Got value:", ", got").rstrip(".")


def _with_its_list(text: str, parser: ArgumentParser) -> str:
    """A refusal of one value for a list of any length, which shows that value as a list."""
    found = re.match(_ONE_FOR_A_LIST, text)
    kinds = {action.dest: getattr(action, "_typehint", None) for action in parser._actions}
    if found is None or ... not in typing.get_args(kinds.get(found[1])):
        return text
    return text.replace("as [ONE,TWO]", f"as [{found[2]}]")


_UNION = re.compile(r"Does not validate against any of the Union subtypes Subtypes: \[([^]]*)\] .* Given value: ?(.*)")
_ONE_FOR_A_LIST = re.compile(r"--([\w.]+): expected a list in brackets, as \[ONE,TWO\], got ([^\s\[{(,]+)$")
_MISSING = re.compile(r"the following arguments are required: ((?:[\w-]+\.)*)(\w+)$")
_CHOICE = re.compile(r'expected "(?:\w+\.)?command" to be one of \{(.*)\}, but it was not provided')
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a word",
    "bool": "true or false",
    "NoneType": "null",
    "tuple": "a list in brackets, as [ONE,TWO]",
}


def with_shipped_configs(arguments: Sequence[str]) -> list[str]:
    """Arguments in which `--config digits-split` names the file that made the shipped model of this name.

    A file of the user's that is called so comes first.
    """
    words = [word for argument in arguments for word in _apart(argument)]
    return [
        str(_CONFIGS / f"{word}.yaml")
        if before == "--config" and not user_path(word).exists() and (_CONFIGS / f"{word}.yaml").is_file()
        else word
        for before, word in zip(["", *words], words, strict=False)
    ]


def _apart(argument: str) -> list[str]:
    """`--config=NAME` as two words."""
    flag, equals, value = argument.partition("=")
    return [flag, value] if flag == "--config" and equals else [argument]


def verbs_parser(arguments: Sequence[str] = (), program: Program = LATENTRY) -> ArgumentParser:
    """The parser of a program's verbs; it reads the settings of those that the arguments name, as that takes long."""
    parser = _Parser(prog=program.name, description=program.description, version=version("latentry"), epilog=program.epilog)
    _add_commands(parser, program.verbs, arguments)
    return parser


def _add_commands(parser: ArgumentParser, tree: dict[str, Any], arguments: Sequence[str]) -> None:
    commands = parser.add_subcommands(required=True, dest="command")
    named = arguments[0] if arguments and arguments[0] in tree else None
    for name, verb in tree.items():
        if isinstance(verb, Verb):
            child = _verb_parser(verb) if named in (None, name) else _Parser(description=_description(verb))
            commands.add_subcommand(name, child, help=_first_line(child))
        else:  # jsonargparse wants the outer level complete before the inner one
            child = _Parser(description=f"Kinds of `{name}`.")
            commands.add_subcommand(name, child, help=child.description)
            if named in (None, name):
                _add_commands(child, verb, arguments[1:])


def _description(verb: Verb) -> str:
    return (verb.settings.__doc__ or "").strip()


def _first_line(parser: ArgumentParser) -> str:
    return (parser.description or "").split("\n\n")[0]


class _ShowAll(argparse._HelpAction):
    """Help on every setting, at full length."""

    def __call__(self, parser: Any, *rest: Any) -> None:
        parser.formatter_class = FullHelp
        super().__call__(parser, *rest)


def _verb_parser(verb: Verb) -> ArgumentParser:
    parser = _Parser(description=_description(verb))
    parser.add_argument("--help_all", action=_ShowAll, default=argparse.SUPPRESS, help="Show every setting, at full length.")
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file of settings, or a shipped model's name.",
    )
    if verb.positional:
        positional = next(field for field in dataclasses.fields(verb.settings) if field.name == verb.positional)
        several = positional.type == list[str]
        required = positional.default_factory is dataclasses.MISSING
        count: dict[str, Any] = {"nargs": "+" if required else "*"} if several else {}
        default: dict[str, Any] = {} if required else {"default": []}
        meaning = f"{verb.positional.capitalize()}: {verb.meaning}."
        parser.add_argument(verb.positional, type=str, help=meaning, **count, **default)
    parser.add_class_arguments(verb.settings, skip={verb.positional} if verb.positional else set(), as_group=False)
    return parser


def verb_and_values(parser: ArgumentParser, parsed: Any, program: Program = LATENTRY) -> tuple[str, Verb, dict[str, Any]]:
    """The words of the verb, the verb, and the values of its settings.

    Raises:
        UsageError: A setting is null that needs a value.
    """
    words, verb, of_verb = _chosen(program.verbs, parsed)
    if empty := next(_nulls(verb.settings, vars(of_verb)), None):
        raise UsageError(f"--{empty}: expected a value, got null; leave it out for its default")
    _, _, of_verb = _chosen(program.verbs, parser.instantiate(parsed))
    values = {name: value for name, value in vars(of_verb).items() if name != "config"}
    return words, verb, values


def _chosen(tree: Mapping[str, Any], parsed: Any, words: str = "") -> tuple[str, Verb, Any]:
    chosen, of_verb, words = tree[parsed.command], parsed[parsed.command], f"{words} {parsed.command}".strip()
    return _chosen(chosen, of_verb, words) if isinstance(chosen, dict) else (words, chosen, of_verb)


def _nulls(settings: type, values: Mapping[str, Any]) -> Iterator[str]:
    """Settings that are None and may not be."""
    allowed = typing.get_type_hints(settings)
    for name, kind in allowed.items():
        if dataclasses.is_dataclass(kind) and values.get(name) is not None:
            yield from (f"{name}.{inner}" for inner in _nulls(typing.cast(type, kind), vars(values[name])))
        elif values.get(name, ()) is None and type(None) not in typing.get_args(kind):
            yield name


def refuse_unknown_variables(words: str, verb: Verb, environment: Mapping[str, str], program: Program = LATENTRY) -> None:
    """Make sure that every variable of the environment that names this verb names one of its settings too.

    Raises:
        UsageError: There is no such setting.
    """
    prefix = f"{_PREFIX}_{words.replace(' ', '__').replace('-', '_').upper()}__"
    known = [prefix + name.replace(".", "__").upper() for name in ("config", *_names(verb.settings))]
    for variable in environment:
        if variable.startswith(prefix) and variable not in known:
            advice = hint(variable, known, f"`{program.name} {words} --help_all` lists the settings")
            raise UsageError(f"expected a setting of `{program.name} {words}` in the environment, got {variable}; {advice}")


def _names(settings: type) -> Iterator[str]:
    """Settings by name, those of settings within them with dots."""
    for name, kind in typing.get_type_hints(settings).items():
        yield name
        if dataclasses.is_dataclass(kind):
            yield from (f"{name}.{inner}" for inner in _names(typing.cast(type, kind)))
