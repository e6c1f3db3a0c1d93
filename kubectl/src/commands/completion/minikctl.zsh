#compdef minikctl
# zsh completion for minikctl: source <(minikctl completion zsh)
_minikctl() {
    local -a lines candidates end
    local line
    lines=("${(@f)$(minikctl __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in $lines; do
        [[ -z "$line" ]] && continue
        # A colon ends the candidate for _describe.
        candidates+=("${${line%%$'\t'*}//:/\\:}${${(M)line:#*$'\t'*}:+:${line#*$'\t'}}")
    done
    # A folder, or what wants a value, goes on without a blank.
    [[ ${#candidates} -eq 1 && "${candidates[1]%%:*}" == *[/=] ]] && end=(-S '')
    _describe 'minikctl' candidates $end
}
if [[ "$funcstack[1]" = "_minikctl" ]]; then
    _minikctl
else
    compdef _minikctl minikctl
fi
