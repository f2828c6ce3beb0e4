# shellcheck shell=bash
# ./dev fuzz: the parsers that meet the outside, attacked for a while (fuzz/, hostile-input/). Not a part of CI:
# what it finds becomes a file of the corpus, which every ./dev test replays.

# fuzz [TARGET...] [--seconds N]: all targets one after the other, or those that are named; each for N seconds.
fuzz() {
    local seconds=60 targets=() target
    while (($#)); do
        case $1 in
        --seconds)
            [[ ${2:-} =~ ^[0-9]+$ ]] || fail "--seconds wants a number"
            seconds=$2
            shift 2
            ;;
        -*) fail "./dev fuzz [TARGET...] [--seconds N]" ;;
        *)
            [[ -f $root/fuzz/fuzz_targets/$1.rs ]] || fail "there is no target $1; all of them: ls fuzz/fuzz_targets"
            targets+=("$1")
            shift
            ;;
        esac
    done
    if ((${#targets[@]} == 0)); then
        for target in "$root"/fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$target" .rs)"); done
    fi
    ensure_cargo
    command -v c++ >/dev/null || install_packages "a C++ compiler" g++ ||
        fail "a C++ compiler (c++) is missing: libFuzzer is written in C++. On Debian: apt-get install g++"
    ensure_cargo_tool cargo-fuzz 0.13.2
    for target in "${targets[@]}"; do run_fuzz_target "$target" "$seconds"; done
    good "Nothing was found in ${#targets[@]} target(s), $seconds s each"
}

run_fuzz_target() {
    local target=$1 seconds=$2 found="$state/fuzz/$1"
    mkdir -p "$found"
    step "Fuzzing $target for $seconds s"
    # The stable compiler can instrument code, but lets only nightly ask for it; a sanitizer it can't: our code
    # has no unsafe, and a panic is found without one. What is new goes to the first folder.
    RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none --target-dir "$state/fuzz-build" "$target" \
        "$found" "$root/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -print_final_stats=1 ||
        fail "$target: the input is in fuzz/artifacts/$target. Mend the parser, and copy the input to fuzz/corpus/$target under a name that says what it is"
}
