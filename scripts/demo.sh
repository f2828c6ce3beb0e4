# shellcheck shell=bash
# ./dev demo: both flows, played once from the first webhook to the last outward call, against the sandbox.
# Nothing of .env and no provider's key from the environment is used; only AMQP_URL and DATABASE_URL count.

demo() {
    ensure_cargo
    build_programs
    ensure_rabbitmq
    with_lock demo play_demo
}

play_demo() {
    folder="$state/demo" only_ours=yes run_in="$state/demo"
    trap stop_parts EXIT
    trap 'exit 130' INT TERM
    empty_demo_folder
    if [[ $rabbitmq_is_private == yes ]]; then
        # A virtual host of its own: neither an earlier run nor ./dev up mixes in.
        empty_virtual_host demo
        AMQP_URL=$(rabbitmq_url demo)
    fi

    step "Starting sandbox, gateway and workers"
    choose_part_ports
    local api_key sandbox_lines
    api_key=$(random_secret)
    sandbox_lines=$("$programs/millrace-sandbox" env --port "$sandbox_port" --directory "$folder/sandbox") ||
        fail "millrace-sandbox env"
    mapfile -t environment <<<"$sandbox_lines"
    environment+=(
        "AMQP_URL=$AMQP_URL"
        "DATABASE_URL=${DATABASE_URL:-sqlite://$folder/millrace.db?mode=rwc}"
        "HOST=127.0.0.1"
        "PUBLIC_BASE_URL=$gateway_url"
        "API_KEYS=$api_key"
        "DOCUMENTS_DIR=$folder/documents"
        "MESSAGE_BATCH_WAIT_TIME=5"
    )
    start_sandbox
    migrate_database
    start_gateway
    start_workers

    step "Playing both flows"
    local status=0 ended
    "$programs/millrace-sandbox" demo --gateway "$gateway_url" --api-key "$api_key" --sandbox "$sandbox_url" ||
        status=$?
    if ended=$(ended_part); then
        bad "Failed: the $ended ended by itself"
        show_log "$folder/logs/$ended.log"
        status=1
    elif ((status != 0)); then
        bad "Failed: playing the flows (status $status)"
        show_log "$folder/logs/gateway.log"
        show_log "$folder/logs/workers.log"
    fi
    stop_parts

    note "documents: $folder/documents"
    note "logs: $folder/logs"
    note "queues: $(describe_management), virtual host ${AMQP_URL##*/}"
    if [[ $rabbitmq_is_private == yes ]]; then note "the private RabbitMQ keeps running; ./dev stop stops it"; fi
    if ((status == 0)); then good "The demo passed. Next: ./dev up, or ./dev test"; fi
    return "$status"
}

# A fresh folder each time: the demo starts from nothing.
empty_demo_folder() {
    stop_left_over "$folder"
    rm -rf "$folder"
    mkdir -p "$folder/logs" "$folder/sandbox"
    # Found before the project's .env, which belongs to ./dev up.
    printf '# Empty: the demo gets its whole configuration from ./dev.\n' >"$folder/.env"
}
