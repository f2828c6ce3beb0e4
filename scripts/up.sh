# shellcheck shell=bash
# ./dev up: all parts running until Ctrl-C; real providers where .env (or the environment) has their keys,
# the sandbox for the others.

up() {
    ensure_cargo
    build_programs
    # A RabbitMQ or a database named in .env wins, as one in the environment does.
    if [[ -n $(setting AMQP_URL) ]]; then AMQP_URL=$(setting AMQP_URL); fi
    ensure_rabbitmq
    with_lock up run_until_stopped
}

run_until_stopped() {
    folder="$state/up" only_ours=no run_in="$root"
    mkdir -p "$folder/logs" "$folder/sandbox"
    stop_left_over "$folder"
    trap stop_parts EXIT
    trap 'exit 130' INT TERM
    choose_part_ports "$(setting PORT)"

    step "Starting the parts"
    environment=("AMQP_URL=$AMQP_URL")
    local sandboxed
    sandboxed=$(sandboxed_providers)
    if [[ -n $sandboxed ]]; then
        local sandbox_lines lines
        sandbox_lines=$("$programs/millrace-sandbox" env --port "$sandbox_port" --directory "$folder/sandbox" \
            --only "$sandboxed") || fail "millrace-sandbox env"
        mapfile -t lines <<<"$sandbox_lines"
        environment+=("${lines[@]}")
    fi
    [[ -s $state/api-key ]] || random_secret >"$state/api-key"
    use_unless_set API_KEYS "$(<"$state/api-key")"
    use_unless_set DATABASE_URL "sqlite://$folder/millrace.db?mode=rwc"
    use_unless_set DOCUMENTS_DIR "$folder/documents"
    use_unless_set PUBLIC_BASE_URL "$gateway_url"
    use_unless_set HOST 127.0.0.1

    if [[ -n $sandboxed ]]; then start_sandbox; fi
    migrate_database
    start_gateway
    start_workers
    show_table "$sandboxed"

    local ended
    until ended=$(ended_part); do sleep 0.5; done
    fail "the $ended ended by itself" "$folder/logs/$ended.log"
}

# setting NAME: its value from the environment, else from .env; nothing when it is unset or empty.
setting() {
    if [[ -n ${!1:-} ]]; then
        printf '%s' "${!1}"
    elif [[ -f $root/.env ]]; then
        # Only to decide what to start; the programs read .env themselves.
        sed -nE "s/^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*//p" "$root/.env" | tail -n 1 |
            sed -E "s/[[:space:]]+(#.*)?\$//; s/^#.*\$//; s/^(['\"])(.*)\1\$/\2/"
    fi
}

use_unless_set() { [[ -n $(setting "$1") ]] || environment+=("$1=$2"); }

# The key that makes a provider real, and the variable without which its webhooks are refused.
# Google is not among them: without its key, documents are local files.
provider_key() {
    case $1 in
    openai) printf 'OPENAI_API_KEY OPENAI_WEBHOOK_SECRET' ;;
    hubspot) printf 'HUBSPOT_ACCESS_TOKEN HUBSPOT_CLIENT_SECRET' ;;
    highlevel) printf 'GHL_API_KEY' ;;
    esac
}

# sandboxed_providers: those without a key, comma-separated.
sandboxed_providers() {
    local provider key list=''
    for provider in openai hubspot highlevel; do
        read -r key _ <<<"$(provider_key "$provider")"
        [[ -n $(setting "$key") ]] || list+="${list:+,}$provider"
    done
    printf '%s' "$list"
}

show_table() {
    local sandboxed=$1 provider key secret
    step "Running. Ctrl-C stops it."
    for provider in openai hubspot highlevel; do
        read -r key secret <<<"$(provider_key "$provider")"
        if [[ ,$sandboxed, == *,$provider,* ]]; then
            table_row "$provider" "sandbox ($key is not set)"
        elif [[ -n $secret && -z $(setting "$secret") ]]; then
            table_row "$provider" "real; its webhooks are refused: $secret is not set"
        else
            table_row "$provider" "real"
        fi
    done
    if [[ -n $(setting GOOGLE_APPLICATION_CREDENTIALS) ]]; then
        table_row google real
    else
        table_row google "none: documents are files in $(setting_or DOCUMENTS_DIR "$folder/documents")"
    fi
    printf '\n'
    table_row gateway "$gateway_url"
    table_row "public at" "$(setting_or PUBLIC_BASE_URL 'nothing: set PUBLIC_BASE_URL for real providers')"
    if [[ -n $(setting API_KEYS) ]]; then
        table_row "API key" "as set in API_KEYS"
    else
        table_row "API key" "$(<"$state/api-key")"
    fi
    table_row metrics "http://127.0.0.1:$gateway_metrics_port/metrics (gateway), http://127.0.0.1:$worker_metrics_port/metrics (workers)"
    table_row RabbitMQ "$(describe_management)"
    [[ -z $sandboxed ]] || table_row sandbox "$sandbox_url/sandbox"
    table_row database "$(setting_or DATABASE_URL "$folder/millrace.db" | sed -E 's|://[^@/]*@|://...@|')"
    table_row logs "$folder/logs"
}

setting_or() {
    local value
    value=$(setting "$1")
    printf '%s' "${value:-$2}"
}

table_row() { printf '    %-10s %s\n' "$1" "$2"; }
