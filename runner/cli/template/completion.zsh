#compdef runner
# Completion of runner for zsh. To install it for all new shells:
#   mkdir -p ~/.zfunc && runner completion zsh > ~/.zfunc/_runner
# and in ~/.zshrc, before compinit: fpath+=(~/.zfunc)
# or, after compinit: source <(runner completion zsh)
_runner() {
    local -a answer described plain
    local kind value about
    answer=("${(@f)$(
        env COMP_WORDS="${(F)words}" COMP_CWORD=$((CURRENT - 1)) \
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
