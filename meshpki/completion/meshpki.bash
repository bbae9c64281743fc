# meshpki completes its own words; names of a cluster come as they are, one a line, and nothing here evaluates them.
_meshpki() {
    local line=${COMP_LINE:0:COMP_POINT} typed begun name
    typed=${line##*[[:space:]]}
    typed=${typed#--*=}
    begun=
    # readline replaces what follows the last colon alone
    if [[ $COMP_WORDBREAKS == *:* && $typed == *:* ]]; then begun=${typed%:*}:; fi
    COMPREPLY=()
    while IFS= read -r name; do
        COMPREPLY+=("${name#"$begun"}")
    done < <(_MESHPKI_COMPLETE=$line "$1" 2>/dev/null)
}
complete -o default -F _meshpki meshpki
