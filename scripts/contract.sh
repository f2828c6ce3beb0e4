# shellcheck shell=bash
# ./dev contract: schemathesis makes thousands of requests from /openapi.json and holds each answer against it,
# valid and invalid ones, with and without proof. Not part of CI: it needs PyPI and some minutes.

schemathesis_version=4.32.5

# contract [ARGUMENT...]: the arguments go to `schemathesis run`, for example --max-examples 500.
contract() {
    ensure_cargo
    install_schemathesis
    step "Building gateway and workers (which migrate the database)"
    cargo build -p gateway -p workers --bins || fail "the build"
    ensure_rabbitmq
    with_lock contract check_contract "$@"
}

install_schemathesis() {
    schemathesis="$state/schemathesis/bin/schemathesis"
    step "schemathesis $schemathesis_version, in .dev/schemathesis"
    [[ $("$schemathesis" --version 2>/dev/null) == *"$schemathesis_version"* ]] && return
    python3 -m venv "$state/schemathesis" ||
        fail "python3 with its venv module is needed (apt-get install python3-venv)"
    "$state/schemathesis/bin/pip" install --quiet "schemathesis==$schemathesis_version" ||
        fail "the installation of schemathesis"
}

check_contract() {
    folder="$state/contract" only_ours=yes run_in="$state/contract"
    trap stop_parts EXIT
    trap 'exit 130' INT TERM
    stop_left_over "$folder"
    rm -rf "$folder"
    mkdir -p "$folder/logs"
    printf '# Empty: ./dev contract sets everything.\n' >"$folder/.env"
    if [[ $rabbitmq_is_private == yes ]]; then
        empty_virtual_host contract
        AMQP_URL=$(rabbitmq_url contract)
    fi
    choose_part_ports
    local openai_secret
    openai_secret="whsec_$(random_secret | base64 -w 0)"
    export CONTRACT_API_KEY CONTRACT_BASE_URL CONTRACT_OPENAI_SECRET CONTRACT_HUBSPOT_SECRET CONTRACT_WEBHOOK_SECRET
    CONTRACT_API_KEY=$(random_secret) CONTRACT_BASE_URL=$gateway_url CONTRACT_OPENAI_SECRET=$openai_secret
    CONTRACT_HUBSPOT_SECRET=$(random_secret) CONTRACT_WEBHOOK_SECRET=$(random_secret)
    environment=(
        "AMQP_URL=$AMQP_URL"
        "DATABASE_URL=sqlite://$folder/millrace.db?mode=rwc"
        "HOST=127.0.0.1"
        "PUBLIC_BASE_URL=$gateway_url"
        "API_KEYS=$CONTRACT_API_KEY"
        "OPENAI_WEBHOOK_SECRET=$CONTRACT_OPENAI_SECRET"
        "HUBSPOT_CLIENT_SECRET=$CONTRACT_HUBSPOT_SECRET"
        "HUBSPOT_WORKFLOW_SIGNATURES=true"
        "WEBHOOK_SECRET=$CONTRACT_WEBHOOK_SECRET"
        "RUST_LOG=warn"
    )
    step "Starting the gateway"
    migrate_database
    start_gateway

    local status=0
    run_schemathesis "with signatures, so that webhooks are accepted too" contract_hooks "$@" || status=1
    run_schemathesis "as anybody with an API key runs it" '' \
        --header "Authorization: Bearer $CONTRACT_API_KEY" "$@" || status=1
    stop_parts
    note "reports: $folder; the gateway's log: $folder/logs/gateway.log"
    ((status == 0)) || fail "the gateway does not keep its contract (above)"
    good "The gateway keeps its contract."
}

# run_schemathesis WHAT HOOKS [ARGUMENT...]
run_schemathesis() {
    local what=$1 hooks=$2
    shift 2
    step "schemathesis, all checks: $what"
    (
        cd "$folder"
        PYTHONPATH="$root/scripts" SCHEMATHESIS_HOOKS=$hooks "$schemathesis" run "$gateway_url/openapi.json" \
            --checks all --continue-on-failure --suppress-health-check all "$@"
    )
}
