# meshpki completes its own words; names of a cluster come as they are, one a line, and nothing here evaluates them.
function __meshpki_complete
    set -lx _MESHPKI_COMPLETE (commandline --cut-at-cursor --current-process | string collect)
    set -l found (command meshpki 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline --current-token)
    end
end
complete --command meshpki --no-files --arguments '(__meshpki_complete)'
