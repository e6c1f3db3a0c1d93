#!/usr/bin/env bash
# Installs what the end-to-end tests need besides Rust and a C compiler, from the distribution's packages, and says so. The
# tests run it themselves, once, as root; it does nothing where all is there.
set -euo pipefail

# program:package
needed=(
  busybox:busybox-static          # the root filesystem of most test images
  containerd:containerd           # another container runtime
  crun:crun                       # another OCI runtime
  docker-registry:docker-registry # the real registry, on loopback
  fish:fish                       # a shell that completes minikctl's verbs
  kubectl:kubernetes-client       # the real kubectl, where none is here
  ip:iproute2                     # network namespaces and a look from outside
  mmdebstrap:mmdebstrap           # the demo's stand-ins for nginx and python
  node:nodejs                     # the JavaScript client of the common scenario
  npm:npm                         # installs it
  podman:podman                   # a container tool above our OCI runtime
  python3:python3                 # drives kubectl through it, and the Python client
  pip3:python3-pip                # installs that one
  modprobe:kmod                   # which kernel modules the machine with another kernel loads
  qemu-system-x86_64:qemu-system-x86 # that machine
  runc:runc                       # the first OCI runtime
  skopeo:skopeo                   # pushes images into the registry
  zsh:zsh                         # another shell that completes
)

missing=()
for pair in "${needed[@]}"; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
# Any busybox will not do: the one in an image has no libraries beside it.
if command -v busybox >/dev/null && ldd "$(command -v busybox)" >/dev/null 2>&1; then
  missing+=(busybox-static)
fi
# containerd's network comes from plugins, which aren't in the path.
[ -x /usr/lib/cni/ptp ] || [ -x /opt/cni/bin/ptp ] || missing+=(containernetworking-plugins)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "tests/setup.sh: the end-to-end tests need ${missing[*]}; run: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "tests/setup.sh: no apt-get here; install what gives ${missing[*]} and run the tests again" >&2
  exit 1
fi
echo "tests/setup.sh: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get install -y --no-install-recommends "${missing[@]}" ||
  { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; }
