# Completion of runner for bash. To install it for all new shells:
#   mkdir -p ~/.local/share/bash-completion/completions
#   runner completion bash > ~/.local/share/bash-completion/completions/runner
# or, without the package bash-completion, in ~/.bashrc: source <(runner completion bash)
_runner_completion() {
    local kind value word words=()
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        # bash splits --option=value at the equals sign.
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
        env COMP_WORDS="$(printf '%s\n' "${words[@]}")" COMP_CWORD=$((${#words[@]} - 1)) \
            _RUNNER_COMPLETE=bash_complete "$1" 2>/dev/null
    )
}
complete -o nosort -F _runner_completion runner 2>/dev/null ||
    complete -F _runner_completion runner
