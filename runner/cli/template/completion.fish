# Completion of runner for fish. To install it for all new shells:
#   runner completion fish > ~/.config/fish/completions/runner.fish
function _runner_completion
    set -l answer (
        env COMP_WORDS=(commandline -cp | string collect) COMP_CWORD=(commandline -t) \
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
