# bash completion for minikctl: source <(minikctl completion bash)
_minikctl() {
    local line="${COMP_LINE:0:$COMP_POINT}" words current candidate
    read -ra words <<< "$line"
    # A blank at the end begins a new word.
    [[ "$line" == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        # bash takes = and : for the ends of words, and completes what is behind them.
        case "$current" in
            *=*) candidate="${candidate#"${current%%=*}="}" ;;
            *:*) candidate="${candidate#"${current%"${current##*:}"}"}" ;;
        esac
        COMPREPLY+=("$candidate")
    done < <(minikctl __complete "${words[@]:1}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _minikctl minikctl
