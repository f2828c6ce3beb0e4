# shellcheck shell=bash
# The parts of Millrace (sandbox, gateway, workers): built, started, waited for, stopped.
#
# A run (demo.sh, up.sh) sets these first:
folder=''         # where its state and logs are
run_in=''         # where its parts run: they look for .env from there upwards
only_ours=no      # yes: the parts see nothing of the caller's environment but what they need to run at all
environment=()    # KEY=VALUE: what the parts are configured with

programs="${CARGO_TARGET_DIR:-$root/target}/debug"
started_parts=()

build_programs() {
    step "Building (the first time takes some minutes)"
    cargo build --workspace --bins || fail "the build"
}

# choose_part_ports [PORT]: free ports; the gateway's is PORT when that is free.
choose_part_ports() {
    choose_port gateway_port "${1:-8080}"
    choose_port sandbox_port 8090
    choose_port gateway_metrics_port 9090
    choose_port worker_metrics_port 9091
    gateway_url="http://127.0.0.1:$gateway_port"
    sandbox_url="http://127.0.0.1:$sandbox_port"
}

# enter_environment: turns this (sub)shell into what a part is to run in. Exported, not passed to env(1):
# secrets on a command line are for all to see.
enter_environment() {
    local name
    if [[ $only_ours == yes ]]; then
        for name in $(compgen -e); do
            case $name in
            PATH | HOME | USER | LANG | TERM | TZ | NO_COLOR | RUST_LOG | RUST_BACKTRACE | SSL_CERT_*) ;;
            *) unset "$name" ;;
            esac
        done
    fi
    export "${environment[@]}"
    cd "$run_in"
}

# start_part NAME PORT PATH COMMAND...: starts a part and waits until it answers 200 on PORT and PATH.
start_part() {
    local name=$1 port=$2 path=$3 log="$folder/logs/$1.log" watched_process="$folder/$1.process"
    shift 3
    : >"$log"
    started_parts=("$name" "${started_parts[@]}")
    (
        enter_environment
        start_process "$watched_process" "$log" "$@"
    )
    wait_until "$name" 60 answers_200 "$port" "$path" || fail "$name did not come up" "$log"
}

start_sandbox() {
    start_part sandbox "$sandbox_port" /sandbox "$programs/millrace-sandbox" serve --port "$sandbox_port" \
        --gateway "$gateway_url" --research-seconds 2
}

migrate_database() {
    local log="$folder/logs/migrate.log"
    (
        enter_environment
        "$programs/millrace-worker" migrate
    ) >"$log" 2>&1 9>&- || fail "the migration of the database" "$log"
    note "database: migrated"
}

start_gateway() {
    environment+=("PORT=$gateway_port" "METRICS_PORT=$gateway_metrics_port")
    start_part gateway "$gateway_port" /health/ready "$programs/millrace-gateway"
}

start_workers() {
    environment+=("METRICS_PORT=$worker_metrics_port")
    start_part workers "$worker_metrics_port" /health "$programs/millrace-worker" run --roles all
}

# stop_parts: the last started first.
stop_parts() {
    local name
    ((${#started_parts[@]} == 0)) || note "stopping ${started_parts[*]}"
    for name in "${started_parts[@]}"; do stop_process "$folder/$name.process" 30; done
    started_parts=()
}

# stop_left_over FOLDER: stops the parts of a run that was killed before it could do so.
stop_left_over() {
    local record
    for record in "$1"/*.process; do
        [[ ! -e $record ]] || stop_process "$record" 30
    done
}

# ended_part: prints the first part that is no longer running; status 1 when all are.
ended_part() {
    local name
    for name in "${started_parts[@]}"; do
        is_running "$folder/$name.process" || { printf '%s' "$name" && return; }
    done
    return 1
}
