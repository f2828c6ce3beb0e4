# shellcheck shell=bash
# ./dev check and ./dev test: everything that is verified before a change is merged.

# Goes on after a failure, so that one run shows all there is to mend.
check() {
    ensure_cargo
    failed_checks=()
    check_that "formatting" cargo fmt --all --check
    check_that "lints, and an up-to-date Cargo.lock" cargo clippy --locked --workspace --all-targets -- -D warnings
    # Resolves its dependencies without fetching or building them.
    check_that "an up-to-date fuzz/Cargo.lock (the same command without --locked mends it)" \
        cargo update --quiet --workspace --locked --manifest-path fuzz/Cargo.toml
    if cargo deny --version >/dev/null 2>&1; then
        check_that "dependencies (deny.toml)" cargo deny --log-level error check
    else
        skip_check "dependencies (deny.toml)" "cargo-deny is not installed (cargo install --locked cargo-deny)"
    fi
    RUSTDOCFLAGS="-D warnings" check_that "documentation" cargo doc --workspace --no-deps
    check_scripts
    if docker compose version >/dev/null 2>&1; then
        check_that "compose.yaml" docker compose --profile sandbox config --quiet
    else
        skip_check "compose.yaml" "docker compose is not installed"
    fi
    ((${#failed_checks[@]} == 0)) || fail "$(join ', ' "${failed_checks[@]}")"
    good "All checks passed. Next: ./dev test"
}

check_scripts() {
    local scripts=(dev .ci/run scripts/rabbitmq-node scripts/*.sh) script
    for script in "${scripts[@]}"; do
        check_that "bash reads $script" bash -n "$script"
    done
    if command -v shellcheck >/dev/null; then
        check_that "shell scripts" shellcheck -x dev .ci/run scripts/rabbitmq-node # dev sources the others
    else
        skip_check "shell scripts" "shellcheck is not installed (apt-get install shellcheck)"
    fi
}

check_that() {
    local what=$1
    shift
    step "$what"
    if ! "$@"; then
        bad "Failed: $what"
        failed_checks+=("$what")
    fi
}

skip_check() { step "$1: skipped, $2"; }

join() {
    local separator=$1 text=$2
    shift 2
    printf '%s' "$text" "${@/#/$separator}"
}

# run_tests [ARGUMENT...]: all tests; the arguments go to nextest (or cargo test), for example
# `-p broker` or a part of a test's name.
run_tests() {
    ensure_cargo
    ensure_rabbitmq
    ensure_postgres
    # All test runs of this clone share a lock; who has it alone knows that nobody needs what is left behind.
    exec 8>"$state/test.lock"
    if [[ $rabbitmq_is_private == yes ]] && flock -n 8; then remove_test_virtual_hosts; fi
    flock --shared 8
    local arguments=("$@") status=0
    if [[ " $* " != *" -p"* && " $* " != *" --package"* ]]; then arguments=(--workspace "$@"); fi
    if [[ ${arguments[0]} == --workspace || " $* " == *end-to-end* ]]; then
        build_programs # the end-to-end tests run them
    fi
    if cargo nextest --version >/dev/null 2>&1; then
        local profile=${CI:+ci}
        if has_rabbitmq; then
            export ERL_EPMD_PORT=${epmd_port:-4369} # the port mapper of the private node serves theirs too
        else
            profile=without-nodes
            note "RabbitMQ is not installed here: tests that kill and block nodes of their own are left out"
        fi
        step "Testing: cargo nextest run ${arguments[*]}"
        cargo nextest run --profile "${profile:-default}" "${arguments[@]}" || status=$?
    else
        note "cargo-nextest is not installed, so cargo test runs them: slower, and without its time limits"
        step "Testing: cargo test ${arguments[*]}"
        cargo test --no-fail-fast "${arguments[@]}" | tee "$state/logs/tests.log" || status=$?
        awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
            END { printf "Summary: %d passed, %d failed, %d ignored\n", passed, failed, ignored }' "$state/logs/tests.log"
    fi
    if (($# == 0 && status == 0)); then
        if has_rabbitmq && [[ -n $(postgres_programs) ]]; then
            # Descriptor 8 is the lock of the tests; what is started here may outlive them.
            (short_chaos) 8>&- || status=$?
            (bench_guard) 8>&- || status=$?
        else
            note "no fault program, no guard of the rates: they start RabbitMQ and PostgreSQL themselves, which are not installed here"
        fi
    fi
    if [[ $rabbitmq_is_private == yes ]]; then
        note "the private RabbitMQ and PostgreSQL keep running for the next time; ./dev stop stops them"
    fi
    ((status == 0)) || fail "tests (the summary is above); the broker's log: $state/logs/rabbitmq.log"
    good "All tests passed."
}
