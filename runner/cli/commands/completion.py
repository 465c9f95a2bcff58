"""The command `runner completion`: print the script of a shell."""

from __future__ import annotations

from typing import Final

import click

from runner.cli.output import write_output

_BASH: Final = """\
# Completion of runner for bash. To have it in every shell:
#   mkdir -p ~/.local/share/bash-completion/completions
#   runner completion bash > ~/.local/share/bash-completion/completions/runner
# or, without the package bash-completion, in ~/.bashrc: source <(runner completion bash)
_runner_completion() {
    local kind value word words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        # bash parts --option=value at the sign.
        [[ $word == = ]] || words+=("$word")
    done
    [[ ${COMP_WORDS[COMP_CWORD]} == = ]] && words+=("")
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
        esac
    done < <(
        env COMP_WORDS="$(printf '%s\\n' "${words[@]}")" COMP_CWORD=$((${#words[@]} - 1)) \\
            _RUNNER_COMPLETE=bash_complete "$1" 2>/dev/null
    )
}
complete -o nosort -F _runner_completion runner 2>/dev/null ||
    complete -F _runner_completion runner
"""

_ZSH: Final = """\
#compdef runner
# Completion of runner for zsh. To have it in every shell, once:
#   mkdir -p ~/.zfunc && runner completion zsh > ~/.zfunc/_runner
# and in ~/.zshrc, before compinit: fpath+=(~/.zfunc)
# or, after compinit: source <(runner completion zsh)
_runner() {
    local -a answer described plain
    local kind value about
    answer=("${(@f)$(
        env COMP_WORDS="${(F)words}" COMP_CWORD=$((CURRENT - 1)) \\
            _RUNNER_COMPLETE=zsh_complete ${words[1]} 2>/dev/null
    )}")
    for kind value about in "${answer[@]}"; do
        case $kind in
            plain)
                if [[ $about == _ ]]; then plain+=("$value"); else described+=("$value:$about"); fi
                ;;
            dir) _path_files -/ ;;
            file) _path_files -f ;;
        esac
    done
    (( $#described )) && _describe -V runner described -U
    (( $#plain )) && compadd -U -V runner -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _runner "$@"
else
    compdef _runner runner
fi
"""

_FISH: Final = """\
# Completion of runner for fish. To have it in every shell:
#   runner completion fish > ~/.config/fish/completions/runner.fish
function _runner_completion
    set -l answer (
        env COMP_WORDS=(commandline -cp | string collect) COMP_CWORD=(commandline -t) \\
            _RUNNER_COMPLETE=fish_complete runner 2>/dev/null
    )
    for line in $answer
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
        end
    end
end
complete --no-files --command runner --arguments '(_runner_completion)'
"""

_SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command()
@click.argument("shell", type=click.Choice(tuple(_SCRIPTS)))
def completion(shell: str) -> int:
    """Print the script that lets a shell complete commands, options and jobs.

    Its first lines say where it goes. For the shell at hand: `source <(runner completion bash)`,
    the same with zsh, or `runner completion fish | source`. Names of jobs are those of the specs
    as they are now.
    """
    write_output(_SCRIPTS[shell])
    return 0
