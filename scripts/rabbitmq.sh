# shellcheck shell=bash
# A private RabbitMQ for this clone: own node, ports, data and user, all under .dev/rabbitmq and on
# 127.0.0.1 only. A RabbitMQ that the system runs is neither used nor touched.
#
# Sets and exports AMQP_URL and AMQP_MANAGEMENT_URL. When AMQP_URL is in the environment already,
# nothing is started.

rabbitmq="$state/rabbitmq"
# As in the default of AMQP_URL (crates/config), so that the programs find this broker by themselves. No
# secret: it listens on 127.0.0.1 only and holds nothing but what developers and tests put there.
rabbitmq_user=millrace rabbitmq_password=millrace
rabbitmq_is_private=no

ensure_rabbitmq() {
    if [[ -n ${AMQP_URL:-} ]]; then
        step "RabbitMQ: the one that AMQP_URL names"
        [[ -n ${AMQP_MANAGEMENT_URL:-} ]] ||
            note "AMQP_MANAGEMENT_URL is not set: tests that need a virtual host of their own will say so."
        return
    fi
    step "RabbitMQ: private, for this clone only"
    with_lock rabbitmq start_rabbitmq
    rabbitmq_is_private=yes
    AMQP_URL=$(rabbitmq_url %2f)
    AMQP_MANAGEMENT_URL="http://$rabbitmq_user:$rabbitmq_password@127.0.0.1:$management_port"
    export AMQP_URL AMQP_MANAGEMENT_URL
    note "management UI: $(describe_management)"
}

# rabbitmq_url VHOST: the address of a virtual host (URL-encoded) on the private RabbitMQ.
rabbitmq_url() { printf 'amqp://%s:%s@127.0.0.1:%s/%s' "$rabbitmq_user" "$rabbitmq_password" "$amqp_port" "$1"; }

describe_management() {
    if [[ $rabbitmq_is_private == yes ]]; then
        printf 'http://127.0.0.1:%s (user %s, password %s)' "$management_port" "$rabbitmq_user" "$rabbitmq_password"
    else
        printf 'the one of the RabbitMQ that AMQP_URL names'
    fi
}

# empty_virtual_host NAME: a fresh virtual host on the private RabbitMQ; what an earlier run left in it is gone.
empty_virtual_host() {
    manage_rabbitmq DELETE "/api/vhosts/$1" >/dev/null
    [[ $(manage_rabbitmq PUT "/api/vhosts/$1") == 20? ]] ||
        fail "RabbitMQ did not make the virtual host $1" "$state/logs/rabbitmq.log"
    [[ $(http_status "$management_port" "/api/permissions/$1/$rabbitmq_user" GET "$rabbitmq_user:$rabbitmq_password") == 200 ]] ||
        fail "RabbitMQ gave $rabbitmq_user no permissions on the virtual host $1" "$state/logs/rabbitmq.log"
}

# remove_test_virtual_hosts: those that failed or killed tests left behind.
remove_test_virtual_hosts() {
    local name
    for name in $(http_answer "$management_port" '/api/vhosts?columns=name' GET "$rabbitmq_user:$rabbitmq_password" |
        grep -oE '"test-[^"]+"' | tr -d '"'); do
        manage_rabbitmq DELETE "/api/vhosts/$name" >/dev/null
    done
}

manage_rabbitmq() { http_status "$management_port" "$2" "$1" "$rabbitmq_user:$rabbitmq_password"; }

stop_rabbitmq() {
    if is_running "$rabbitmq/process"; then
        step "Stopping the private RabbitMQ"
        stop_process "$rabbitmq/process" 30
        # Its port mapper was started for it alone and would stay for ever.
        # shellcheck source=/dev/null
        source "$rabbitmq/ports"
        ERL_EPMD_PORT=$epmd_port epmd -kill >/dev/null 2>&1 || true
    elif [[ -s $rabbitmq/container ]] && has_docker; then
        step "Stopping the private RabbitMQ (Docker)"
        docker rm -f "$(<"$rabbitmq/container")" >/dev/null
    fi
    rm -f "$rabbitmq/process" "$rabbitmq/container"
}

start_rabbitmq() {
    mkdir -p "$rabbitmq"
    chmod 700 "$rabbitmq" # of the Erlang cookie

    if is_running "$rabbitmq/process" || rabbitmq_container_runs; then
        # shellcheck source=/dev/null
        source "$rabbitmq/ports"
        note "already running"
    else
        install_rabbitmq || true
        choose_rabbitmq_ports
        if has_rabbitmq; then
            start_rabbitmq_node
        elif has_docker; then
            start_rabbitmq_container
        else
            fail "RabbitMQ is not installed, and it can't be installed from here (that takes Debian or Ubuntu, and root or sudo without a password), and no Docker engine answers. Do one of these: apt-get install rabbitmq-server; start Docker; or set AMQP_URL (and AMQP_MANAGEMENT_URL for tests) to a RabbitMQ you have."
        fi
    fi

    local watched_process=''
    [[ ! -e $rabbitmq/process ]] || watched_process="$rabbitmq/process"
    if ! wait_until "RabbitMQ on port $amqp_port" 60 rabbitmq_answers; then
        [[ ! -s $rabbitmq/container ]] || docker logs "$(<"$rabbitmq/container")" >"$state/logs/rabbitmq.log" 2>&1
        fail "RabbitMQ did not come up" "$state/logs/rabbitmq.log"
    fi
}

# Whether nodes can be started here (scripts/rabbitmq-node looks in the same places).
has_rabbitmq() {
    [[ -n ${MILLRACE_RABBITMQ_PROGRAMS:-} ]] ||
        compgen -G '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server' >/dev/null
}

# install_rabbitmq: unless it is there.
install_rabbitmq() {
    has_rabbitmq || { install_packages RabbitMQ rabbitmq-server && leave_service_off rabbitmq-server; }
}

# choose_rabbitmq_ports [OFFSET]: the ports of the last run where they are free, else the next free ones,
# counted from OFFSET above the usual.
choose_rabbitmq_ports() {
    local offset=${1:-0}
    amqp_port=$((5682 + offset)) management_port=$((15682 + offset)) prometheus_port=$((15692 + offset))
    distribution_port=$((25682 + offset)) epmd_port=$((4370 + offset))
    # shellcheck source=/dev/null
    [[ ! -s $rabbitmq/ports ]] || source "$rabbitmq/ports"
    local port
    for port in amqp_port management_port prometheus_port distribution_port epmd_port; do
        choose_port "$port" "${!port}"
        printf '%s=%s\n' "$port" "${!port}"
    done >"$rabbitmq/ports.new"
    mv "$rabbitmq/ports.new" "$rabbitmq/ports"
}

start_rabbitmq_node() {
    : >"$state/logs/rabbitmq.log"
    note "log: $state/logs/rabbitmq.log"
    start_process "$rabbitmq/process" "$state/logs/rabbitmq.log" "$root/scripts/rabbitmq-node" run \
        folder="$rabbitmq" amqp_port="$amqp_port" management_port="$management_port" \
        prometheus_port="$prometheus_port" distribution_port="$distribution_port" epmd_port="$epmd_port" \
        user="$rabbitmq_user" password="$rabbitmq_password"
}

# write_node_program FILE NAME=VALUE...: a program that becomes the node that scripts/rabbitmq-node makes of the rest.
write_node_program() {
    local file=$1
    shift
    printf '#!/usr/bin/env bash\nexec %q run%s\n' "$root/scripts/rabbitmq-node" "$(printf ' %q' "$@")" >"$file"
    chmod 755 "$file"
}

# write_cluster_programs FOLDER [NAME=VALUE...]: FOLDER/node-1, -2 and -3, programs that become the three nodes of a
# cluster; started at once or one by one they find each other. FOLDER/1 to 3 are the nodes' own folders. Sets the
# arrays cluster_amqp_ports and cluster_management_ports, and epmd_port, whose mapper outlives the nodes:
# ERL_EPMD_PORT=$epmd_port epmd -kill.
write_cluster_programs() {
    local folder=$1 number amqp management distribution
    shift
    choose_port epmd_port 7370
    cluster_amqp_ports=() cluster_management_ports=()
    for number in 1 2 3; do
        choose_port amqp 8682
        choose_port management 18682
        choose_port distribution 28682
        write_node_program "$folder/node-$number" folder="$folder/$number" name="millrace$number" \
            peers='millrace1 millrace2 millrace3' amqp_port="$amqp" management_port="$management" \
            distribution_port="$distribution" epmd_port="$epmd_port" "$@"
        cluster_amqp_ports+=("$amqp")
        cluster_management_ports+=("$management")
    done
}

start_rabbitmq_container() {
    local name
    name=$(container_name rabbitmq)
    note "with Docker: rabbitmq:4-management as $name"
    docker rm -f "$name" >/dev/null 2>&1 || true
    docker run --detach --name "$name" --hostname millrace \
        --publish "127.0.0.1:$amqp_port:5672" --publish "127.0.0.1:$management_port:15672" \
        --env RABBITMQ_DEFAULT_USER="$rabbitmq_user" --env RABBITMQ_DEFAULT_PASS="$rabbitmq_password" \
        --volume "$root/deploy/rabbitmq/rabbitmq.conf:/etc/rabbitmq/conf.d/20-millrace.conf:ro" \
        --volume "$root/deploy/rabbitmq/advanced.config:/etc/rabbitmq/advanced.config:ro" \
        --volume "$root/deploy/rabbitmq/enabled_plugins:/etc/rabbitmq/enabled_plugins:ro" \
        --volume "$name:/var/lib/rabbitmq" \
        rabbitmq:4-management >"$state/logs/rabbitmq.log" 2>&1 ||
        fail "Docker could not start RabbitMQ" "$state/logs/rabbitmq.log"
    printf '%s\n' "$name" >"$rabbitmq/container"
}

rabbitmq_container_runs() {
    [[ -s $rabbitmq/container ]] && has_docker &&
        [[ $(docker inspect --format '{{.State.Running}}' "$(<"$rabbitmq/container")" 2>/dev/null) == true ]]
}

# Ready means: it speaks AMQP (it answers the protocol header with connection.start, a method frame,
# type 1), and the management API knows our user.
rabbitmq_answers() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$amqp_port"
        printf 'AMQP\x00\x00\x09\x01' >&3
        [[ $(head -c 1 <&3 | od -An -tx1) == ' 01' ]]
    ) 2>/dev/null && answers_200 "$management_port" /api/whoami GET "$rabbitmq_user:$rabbitmq_password"
}
