# fish completion for minikctl: minikctl completion fish | source
function __minikctl_complete
    set -l words (commandline -opc) (commandline -ct)
    minikctl __complete $words[2..-1] 2>/dev/null
end
complete -c minikctl -e
complete -c minikctl -f -a '(__minikctl_complete)'
