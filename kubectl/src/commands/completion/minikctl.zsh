#compdef minikctl
# zsh completion for minikctl: source <(minikctl completion zsh)
_minikctl() {
    local -a lines candidates
    local line
    lines=("${(@f)$(minikctl __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    for line in $lines; do
        [[ -z "$line" ]] && continue
        # A colon ends the candidate for _describe.
        candidates+=("${${line%%$'\t'*}//:/\\:}${${(M)line:#*$'\t'*}:+:${line#*$'\t'}}")
    done
    _describe -o 'minikctl' candidates
}
if [[ "$funcstack[1]" = "_minikctl" ]]; then
    _minikctl
else
    compdef _minikctl minikctl
fi
