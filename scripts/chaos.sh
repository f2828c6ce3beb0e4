# shellcheck shell=bash
# ./dev chaos: the fault program (chaos/) with servers of its own, whose data is thrown away. The program
# starts and kills them itself; here they are only prepared.

# chaos [--release] [ARGUMENT...]: the arguments go to the program (--help lists them).
chaos() {
    local argument arguments=() profile=debug
    for argument in "$@"; do
        if [[ $argument == --release ]]; then profile=release; else arguments+=("$argument"); fi
    done
    ensure_cargo
    step "Building (the first time takes some minutes)"
    local build=(cargo build --workspace --bins)
    if [[ $profile == release ]]; then build+=(--release); fi
    "${build[@]}" || fail "the build"
    programs="${CARGO_TARGET_DIR:-$root/target}/$profile"
    if [[ " ${arguments[*]} " == *" --help "* ]]; then
        "$programs/millrace-chaos" "${arguments[@]}"
        return
    fi
    with_machine_lock prepare_and_run_chaos
}

# short_chaos: the fault program as a part of ./dev test, with seeds that stay the same, on either database, and
# its walk along the crash points.
short_chaos() {
    chaos --seed 4 --minutes 0.5 --events 150 --faults 10 --database sqlite
    chaos --seed 59 --minutes 0.5 --events 150 --faults 12
    chaos --crash-points --database sqlite
}

# with_machine_lock COMMAND...: one fault program at a time on this machine, whichever clone it is of. A server
# that has just been killed leaves its port to whoever asks next, and two runs would take each other's times.
with_machine_lock() {
    local file=/tmp/millrace-chaos.lock status=0 holder
    # Opened for reading: /tmp lets nobody write to another user's file, and flock(1) doesn't mind.
    [[ -e $file ]] || (umask 0 && : >"$file") || true
    exec 9<"$file" || fail "the lock of the fault program, $file, can't be opened"
    if ! flock -n 9; then
        holder=$(<"$file")
        note "another fault program is running on this machine: waiting for ${holder:-it}"
        flock 9
    fi
    printf 'process %s of %s in %s, since %s\n' "$$" "$(id -un)" "$root" "$(date +%T)" 2>/dev/null >"$file" || true
    "$@" || status=$?
    exec 9<&-
    return "$status"
}

prepare_and_run_chaos() {
    # The same scripts as for the other private servers, with other folders and therefore other ports.
    local folder="$state/chaos" status=0 rabbitmq="$state/chaos/rabbitmq" postgres="$state/chaos/postgres"
    local database=() nodes=()
    # Whoever answers to this password is the node of this run.
    local rabbitmq_password
    rabbitmq_password=$(random_secret)
    stop_left_over "$folder"
    stop_chaos_postgres
    rm -rf "$folder/programs" "$folder/logs" "$rabbitmq" "$folder"/millrace.db*
    mkdir -p "$folder/programs" "$folder/logs" "$rabbitmq" "$postgres"
    chmod 700 "$rabbitmq" # of the Erlang cookie
    # A build during the run must not put other programs in the place of those that are started again.
    cp "$programs/millrace-chaos" "$programs/millrace-gateway" "$programs/millrace-worker" "$folder/programs/"
    write_chaos_broker
    if [[ " ${arguments[*]} " != *sqlite* ]]; then
        write_chaos_database "$folder/database"
        database=(--database-program "$folder/database" --database-port "$postgres_port")
    fi
    step "Chaos"
    "$folder/programs/millrace-chaos" "${arguments[@]}" --folder "$folder" --programs "$folder/programs" \
        --broker-control "$root/scripts/rabbitmq-node" --broker-password "$rabbitmq_password" \
        "${nodes[@]}" "${database[@]}" 9>&- || status=$?
    stop_left_over "$folder"
    stop_chaos_postgres
    # Its port mapper was started for it alone and would stay for ever.
    ERL_EPMD_PORT=$epmd_port epmd -kill >/dev/null 2>&1 || true
    note "faults: $folder/faults.log, logs: $folder/logs, result: $folder/latest.md"
    ((status == 0)) || fail "chaos (status $status; see the result above)"
    if [[ " ${arguments[*]} " == *" --sabotage "* ]]; then
        good "Each damage was noticed"
    else
        good "Nothing was lost and nothing was done twice"
    fi
}

# write_chaos_broker: programs that become the RabbitMQ nodes of this run, and in the array nodes what the fault
# program must know of them.
write_chaos_broker() {
    install_rabbitmq ||
        fail "./dev chaos kills and starts RabbitMQ itself, so it must be installed: apt-get install rabbitmq-server"
    # The program waits for quiet by the figures of the management API; usually they are up to five seconds old.
    local settings=(user="$rabbitmq_user" password="$rabbitmq_password" setting='collect_statistics_interval = 1000')
    if [[ " ${arguments[*]} " == *" --cluster "* ]]; then
        write_cluster_programs "$rabbitmq" "${settings[@]}"
        local place
        for place in 0 1 2; do
            nodes+=(--broker-program "$rabbitmq/node-$((place + 1))" --broker-folder "$rabbitmq/$((place + 1))"
                --amqp-port "${cluster_amqp_ports[place]}" --management-port "${cluster_management_ports[place]}")
        done
        return
    fi
    # Far from those of ./dev test: a killed node's ports are free for a while, and other clones look for free ones.
    choose_rabbitmq_ports 2000
    write_node_program "$rabbitmq/node-1" folder="$rabbitmq/1" amqp_port="$amqp_port" \
        management_port="$management_port" prometheus_port="$prometheus_port" \
        distribution_port="$distribution_port" epmd_port="$epmd_port" "${settings[@]}"
    nodes=(--broker-program "$rabbitmq/node-1" --broker-folder "$rabbitmq/1"
        --amqp-port "$amqp_port" --management-port "$management_port")
}

# write_chaos_database FILE: starts an empty PostgreSQL of its own, and writes a program that stops and
# starts it. A stop is immediate, as after a crash: what was committed must be there afterwards.
write_chaos_database() {
    local server
    if [[ -z $(postgres_programs) ]] && install_packages PostgreSQL postgresql; then
        leave_service_off postgresql
    fi
    [[ -n $(postgres_programs) ]] ||
        fail "./dev chaos stops and starts PostgreSQL itself, so it must be installed: apt-get install postgresql; or run it with --database sqlite"
    server=$(postgres_programs)
    local where
    where=$(postgres_folder)
    printf '%s\n' "$where/data" >"$postgres/folder"
    rm -rf "$where/data"
    as_postgres "$server/initdb" -D "$where/data" -U millrace --auth=trust --encoding=UTF8 --locale=C \
        --no-sync >"$folder/logs/postgres-initdb.log" 2>&1 || fail "initdb failed" "$folder/logs/postgres-initdb.log"
    choose_port postgres_port 27442
    local as=() control
    if ((EUID == 0)); then as=(runuser -u "$(postgres_user)" --); fi
    # Without fsync, since only processes die here and not the machine.
    printf -v control '%q ' "${as[@]}" "$server/pg_ctl" -D "$where/data" -l "$where/log" -w -t 60
    cat >"$1" <<SCRIPT
#!/usr/bin/env bash
set -euo pipefail
cd /
case \$1 in
start) $control start -o '-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
-c max_connections=200 -c fsync=off -c full_page_writes=off' >/dev/null ;;
stop) $control -m immediate stop >/dev/null ;;
esac
SCRIPT
    chmod 755 "$1"
    "$1" start 9>&- || fail "PostgreSQL did not start" "$where/log"
}

# stop_chaos_postgres: the one of this run, or of one that was killed.
stop_chaos_postgres() {
    [[ -s $postgres/folder ]] || return 0
    as_postgres "$(postgres_programs)/pg_ctl" -D "$(<"$postgres/folder")" -m immediate -w stop >/dev/null 2>&1 || true
    rm -f "$postgres/folder"
}
