# shellcheck shell=bash
# ./dev bench: the benchmark (bench/) with a RabbitMQ and a PostgreSQL of its own, as durable as in production,
# and the peers that Millrace is measured beside. Data is thrown away; the peers stay installed.

# bench [--debug] [ARGUMENT...]: the arguments go to the program (--help lists them). --debug takes the debug build:
# to try the benchmark itself; its figures are worth nothing and stay in .dev/bench.
bench() {
    local argument arguments=() profile=release build=(cargo build --workspace --bins)
    for argument in "$@"; do
        case $argument in
        --debug)
            profile=debug
            arguments+=(--trial)
            ;;
        guard)
            profile=debug
            arguments+=("$argument")
            ;;
        *) arguments+=("$argument") ;;
        esac
    done
    ensure_cargo
    step "Building (the first time takes some minutes)"
    if [[ $profile == release ]]; then build+=(--release); fi
    "${build[@]}" || fail "the build"
    programs="${CARGO_TARGET_DIR:-$root/target}/$profile"
    if [[ " ${arguments[*]} " == *" --help "* ]]; then
        "$programs/millrace-bench" "${arguments[@]}"
        return
    fi
    with_lock bench prepare_and_run_bench
}

# bench_guard: whether a rate has collapsed, as a part of ./dev test, with the programs that it has built.
bench_guard() {
    local arguments=(guard)
    with_lock bench prepare_and_run_bench
}

prepare_and_run_bench() {
    # The same scripts as for the other private servers, with other folders and therefore other ports.
    local folder="$state/bench" status=0 rabbitmq="$state/bench/rabbitmq" postgres="$state/bench/postgres"
    local amqp_port management_port broker_process database_process _
    stop_rabbitmq
    stop_postgres
    rm -rf "$folder/logs"
    remove_bench_data
    mkdir -p "$folder/logs" "$postgres"
    if [[ " ${arguments[*]} " != *" guard "* ]]; then install_peers "$folder/peers"; fi
    step "RabbitMQ and PostgreSQL, for this run only"
    has_rabbitmq || install_rabbitmq || fail "./dev bench needs RabbitMQ: apt-get install rabbitmq-server"
    start_rabbitmq
    read -r broker_process _ <"$rabbitmq/process"
    start_bench_postgres
    step "Bench"
    # Ctrl-C ends the program, which stops what it has started; then its servers are stopped here.
    trap ':' INT
    "$programs/millrace-bench" "${arguments[@]}" --root "$root" --folder "$folder" --programs "$programs" \
        --peers "$folder/peers" --amqp-port "$amqp_port" --management-port "$management_port" \
        --broker-process "$broker_process" --database-port "$postgres_port" \
        --database-process "$database_process" 9>&- || status=$?
    trap - INT
    stop_rabbitmq
    stop_postgres
    # With the tables of the growth run they are tens of gigabytes.
    remove_bench_data
    rm -rf "$(postgres_folder)/data"
    note "logs: $folder/logs"
    ((status == 0)) || fail "bench (status $status; see above)"
}

remove_bench_data() {
    rm -rf "$folder/rabbitmq/data" "$folder/documents" "$folder"/*.db*
}

# start_bench_postgres: an empty cluster with the durability that PostgreSQL has by itself. Sets postgres_port and
# database_process.
start_bench_postgres() {
    if [[ -z $(postgres_programs) ]] && install_packages PostgreSQL postgresql; then
        leave_service_off postgresql
    fi
    [[ -n $(postgres_programs) ]] || fail "./dev bench needs PostgreSQL: apt-get install postgresql"
    local server where
    server=$(postgres_programs)
    where=$(postgres_folder)
    rm -rf "$where/data"
    as_postgres "$server/initdb" -D "$where/data" -U millrace --auth=trust --encoding=UTF8 --locale=C \
        >"$folder/logs/postgres-initdb.log" 2>&1 || fail "initdb failed" "$folder/logs/postgres-initdb.log"
    printf '%s\n' "$where/data" >"$postgres/folder"
    choose_port postgres_port 26442
    as_postgres "$server/pg_ctl" -D "$where/data" -l "$where/log" -w -t 60 start -o "\
-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 \
-c shared_preload_libraries=pg_stat_statements" >/dev/null 9>&- || fail "PostgreSQL did not start" "$where/log"
    read -r database_process <"$where/data/postmaster.pid"
}

# install_peers FOLDER: copies the peers there and installs what they use, in the versions that they pin.
install_peers() {
    local folder=$1 peer
    step "The peers: Fastify, FastAPI, Celery"
    if ! command -v npm >/dev/null; then
        install_packages "Node.js" nodejs npm || fail "./dev bench needs Node.js and npm"
    fi
    mkdir -p "$folder"
    cp -r "$root/bench/peers/." "$folder/"
    install_once "$folder/fastify" package-lock.json npm --prefix "$folder/fastify" ci --omit=dev --no-audit --no-fund
    for peer in fastapi celery; do
        [[ -x $folder/$peer/venv/bin/pip ]] || python3 -m venv "$folder/$peer/venv" ||
            fail "./dev bench needs Python 3 with venv: apt-get install python3-venv"
        install_once "$folder/$peer" requirements.txt "$folder/$peer/venv/bin/pip" install --quiet \
            --requirement "$folder/$peer/requirements.txt"
    done
}

# install_once FOLDER LIST COMMAND...: unless the same LIST has been installed there before.
install_once() {
    local where=$1 list=$2 log
    log="$state/logs/bench-$(basename "$1").log"
    shift 2
    cmp -s "$where/$list" "$where/installed" && return
    run_quietly "$(basename "$where")" "$log" "$@" || fail "its libraries could not be installed" "$log"
    cp "$where/$list" "$where/installed"
}
