"""`orch completion bash|zsh|fish`: a script for the shell; names of objects are asked for as they are needed."""

import argparse

from orchestr.cli import COMMANDS, OK
from orchestr.cli.kinds import KINDS

EXAMPLES = """examples:
  source <(orch completion bash)
  orch completion fish > ~/.config/fish/completions/orch.fish"""

BASH = """\
_orch() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands}" -- "$word")); return
  fi
  case "$command" in
    get|describe|delete|wait)
      if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "{kinds}" -- "$word"))
      else
        local names="$(orch get "${{COMP_WORDS[2]}}" -o name 2>/dev/null | sed 's,.*/,,')"
        COMPREPLY=($(compgen -W "$names" -- "$word"))
      fi ;;
    logs|exec|restart|scale)
      COMPREPLY=($(compgen -W "$(orch get deploy,pods -o name 2>/dev/null | sed 's,.*/,,')" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -o default -F _orch orch
"""
ZSH = """\
#compdef orch
autoload -U +X bashcompinit && bashcompinit
{bash}"""
FISH = """\
complete -c orch -f -n __fish_use_subcommand -a "{commands}"
complete -c orch -f -n "__fish_seen_subcommand_from get describe delete wait" -a "{kinds}"
complete -c orch -f -n "__fish_seen_subcommand_from logs exec restart scale" \\
  -a "(orch get deploy,pods -o name 2>/dev/null | string replace -r '.*/' '')"
complete -c orch -n "__fish_seen_subcommand_from apply diff config" -F
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(args: argparse.Namespace) -> int:
    words = " ".join(word for name, aliases, _, _ in COMMANDS for word in (name, *aliases))
    kinds = " ".join(kind.plural for kind in KINDS)
    bash = BASH.format(commands=words, kinds=kinds)
    scripts = {"bash": bash, "zsh": ZSH.format(bash=bash), "fish": FISH.format(commands=words, kinds=kinds)}
    print(scripts[args.shell], end="")
    return OK
