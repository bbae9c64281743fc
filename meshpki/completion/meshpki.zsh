#compdef meshpki
# meshpki completes its own words; names of a cluster come as they are, one a line, and nothing here evaluates them.
_meshpki() {
    local -a found
    found=(${(f)"$(_MESHPKI_COMPLETE="${(j: :)words[1,CURRENT]}" command ${words[1]} 2>/dev/null)"})
    if [[ $PREFIX == --*=* ]]; then compset -P '*='; fi
    if (( $#found )); then compadd -a found; else _files; fi
}
if [[ $funcstack[1] == _meshpki ]]; then _meshpki "$@"; else compdef _meshpki meshpki; fi
