# shellcheck shell=bash
# What this machine has, and what can be installed on it: Rust, a C compiler, Debian packages, Docker.

# ensure_cargo: cargo on the PATH, or a word on where to get it.
ensure_cargo() {
    if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    command -v cargo >/dev/null ||
        fail "cargo is missing. Install Rust from https://rustup.rs (rustup then takes the version that rust-toolchain.toml names) and run this again."
    command -v cc >/dev/null || install_packages "a C compiler" gcc libc6-dev ||
        fail "a C compiler (cc) is missing: Rust links with it. On Debian: apt-get install gcc libc6-dev"
}

# ensure_cargo_tool NAME VERSION: a program of crates.io in .dev/tools, where this machine has none; on the PATH then.
ensure_cargo_tool() {
    local name=$1 version=$2
    PATH="$state/tools/bin:$PATH"
    command -v "$name" >/dev/null || {
        step "Installing $name $version into .dev/tools (some minutes)"
        cargo install --locked --root "$state/tools" "$name@$version" || fail "$name could not be installed"
    }
}

# install_packages WHAT PACKAGE...: installs Debian packages without starting their services.
# Returns 1 where that is impossible (no apt-get, or no way to become root) or fails.
install_packages() {
    local what=$1 log="$state/logs/apt-get.log"
    shift
    command -v apt-get >/dev/null && can_be_root || return 1
    step "Installing $what with apt-get: $*"
    (
        trap remove_service_guard EXIT
        place_service_guard
        # A fresh container has no package lists, an old machine has outdated ones: both show as a failure.
        run_quietly "apt-get install" "$log" apt_get install -y --no-install-recommends "$@" ||
            { run_quietly "apt-get update" "$log" apt_get update &&
                run_quietly "apt-get install" "$log" apt_get install -y --no-install-recommends "$@"; }
    ) && return
    bad "apt-get could not install $*"
    show_log "$log" >&2
    return 1
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o DPkg::Lock::Timeout=120 "$@"
}

# Packages ask /usr/sbin/policy-rc.d whether they may start their service (Debian policy, invoke-rc.d(8));
# 101 means no. A policy that is already there is the machine's own and stays as it is.
service_guard=/usr/sbin/policy-rc.d
service_guard_mark='placed by Millrace while it installs packages'

place_service_guard() {
    [[ ! -e $service_guard ]] || return 0
    printf '#!/bin/sh\n# %s\nexit 101\n' "$service_guard_mark" | as_root tee "$service_guard" >/dev/null
    as_root chmod 755 "$service_guard"
}

remove_service_guard() {
    ! grep -qs "$service_guard_mark" "$service_guard" || as_root rm -f "$service_guard"
}

# leave_service_off SERVICE: a package that ./dev installed must not start its server at the next boot.
leave_service_off() {
    [[ ! -d /run/systemd/system ]] || as_root systemctl disable --quiet "$1" 2>/dev/null || true
}

can_be_root() { ((EUID == 0)) || sudo -n true 2>/dev/null; }

as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

has_docker() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

# container_name SERVICE: one name for each clone of the project.
container_name() { printf 'millrace-%s-%s' "$1" "$(printf '%s' "$root" | cksum | cut -d ' ' -f 1)"; }
