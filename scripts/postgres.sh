# shellcheck shell=bash
# A private PostgreSQL for the tests: own data and port, 127.0.0.1 only. Its data is worth nothing, so it
# runs without fsync. Sets and exports TEST_POSTGRES_URL, unless that is in the environment already.

postgres="$state/postgres"

ensure_postgres() {
    if [[ -n ${TEST_POSTGRES_URL:-} ]]; then
        step "PostgreSQL: the one that TEST_POSTGRES_URL names"
        return
    fi
    step "PostgreSQL: private, for the tests of this clone only"
    with_lock postgres start_postgres
    export TEST_POSTGRES_URL="postgres://millrace:millrace@127.0.0.1:$postgres_port/postgres"
    note "$TEST_POSTGRES_URL"
}

stop_postgres() {
    if postgres_runs; then
        step "Stopping the private PostgreSQL"
        as_postgres "$(postgres_programs)/pg_ctl" -D "$(<"$postgres/folder")" -m fast -w stop >/dev/null ||
            bad "PostgreSQL did not stop; its log: $(<"$postgres/folder")/log"
    elif [[ -s $postgres/container ]] && has_docker; then
        step "Stopping the private PostgreSQL (Docker)"
        docker rm -f "$(<"$postgres/container")" >/dev/null
    fi
    rm -f "$postgres/container"
}

start_postgres() {
    mkdir -p "$postgres"
    if postgres_runs || postgres_container_runs; then
        # shellcheck source=/dev/null
        source "$postgres/port"
        note "already running"
        return
    fi
    if [[ -z $(postgres_programs) ]] && install_packages PostgreSQL postgresql; then
        leave_service_off postgresql
    fi
    choose_port postgres_port 25432
    printf 'postgres_port=%s\n' "$postgres_port" >"$postgres/port"
    if [[ -n $(postgres_programs) ]]; then
        start_postgres_cluster "$(postgres_programs)"
    elif has_docker; then
        start_postgres_container
    else
        fail "PostgreSQL is not installed, and it can't be installed from here (that takes Debian or Ubuntu, and root or sudo without a password), and no Docker engine answers. Do one of these: apt-get install postgresql; start Docker; or set TEST_POSTGRES_URL to a server on which the tests may create databases."
    fi
}

# The folder of the newest PostgreSQL's programs.
postgres_programs() {
    find /usr/lib/postgresql/*/bin -name initdb 2>/dev/null | sort -V | tail -n 1 | sed 's|/initdb$||'
}

start_postgres_cluster() {
    local programs=$1 folder
    folder=$(postgres_folder)
    if [[ ! -s $folder/data/PG_VERSION ]]; then
        note "making a database cluster in $folder"
        as_postgres "$programs/initdb" -D "$folder/data" -U millrace --auth=trust --encoding=UTF8 \
            --locale=C --no-sync >"$state/logs/postgres-initdb.log" 2>&1 ||
            fail "initdb failed" "$state/logs/postgres-initdb.log"
    fi
    printf '%s\n' "$folder/data" >"$postgres/folder"
    # Descriptor 9 is the lock of with_lock. No socket file: only the port is used.
    as_postgres "$programs/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 start -o "\
-p $postgres_port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=400 \
-c fsync=off -c synchronous_commit=off -c full_page_writes=off" >/dev/null 9>&- ||
        fail "PostgreSQL did not start" "$folder/log"
    note "PostgreSQL on port $postgres_port, log: $folder/log"
}

# Where the cluster lives: a folder under .dev; but under /tmp where the user it runs as can't reach .dev.
# A cluster made by another version of PostgreSQL, or by another user, is left behind for a new one.
postgres_folder() {
    local folder version
    version=$(basename "$(dirname "$(postgres_programs)")")
    folder="$postgres/$version-$(postgres_user)"
    mkdir -p "$folder"
    if ((EUID == 0)); then chown "$(postgres_user)" "$folder"; fi
    if ! as_postgres test -w "$folder"; then
        if [[ -s $folder.elsewhere && -d $(<"$folder.elsewhere") ]]; then
            folder=$(<"$folder.elsewhere")
        else
            local elsewhere
            elsewhere=$(mktemp -d /tmp/millrace-postgres.XXXXXX)
            chown "$(postgres_user)" "$elsewhere"
            printf '%s\n' "$elsewhere" >"$folder.elsewhere"
            folder=$elsewhere
        fi
    fi
    printf '%s' "$folder"
}

# PostgreSQL refuses to run as root.
postgres_user() {
    if ((EUID != 0)); then
        id -un
    elif id -u postgres >/dev/null 2>&1; then
        printf postgres
    else
        printf nobody
    fi
}

as_postgres() {
    # From /: the caller's folder may be closed to that user.
    if ((EUID == 0)); then (cd / && runuser -u "$(postgres_user)" -- "$@"); else "$@"; fi
}

postgres_runs() {
    [[ -s $postgres/folder && -n $(postgres_programs) ]] &&
        as_postgres "$(postgres_programs)/pg_ctl" -D "$(<"$postgres/folder")" status >/dev/null 2>&1
}

start_postgres_container() {
    local name
    name=$(container_name postgres)
    note "with Docker: postgres:17 as $name"
    docker rm -f "$name" >/dev/null 2>&1 || true
    docker run --detach --name "$name" --publish "127.0.0.1:$postgres_port:5432" \
        --env POSTGRES_USER=millrace --env POSTGRES_PASSWORD=millrace --env POSTGRES_DB=postgres \
        --tmpfs /var/lib/postgresql/data postgres:17 \
        -c max_connections=400 -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
        >"$state/logs/postgres.log" 2>&1 || fail "Docker could not start PostgreSQL" "$state/logs/postgres.log"
    printf '%s\n' "$name" >"$postgres/container"
    # The image starts a server of its own to prepare the data, on the socket file only: asking for the
    # address leaves that one out.
    wait_until "PostgreSQL on port $postgres_port" 60 \
        docker exec "$name" pg_isready --quiet --host 127.0.0.1 --username millrace ||
        fail "PostgreSQL did not come up (docker logs $name)"
}

postgres_container_runs() {
    [[ -s $postgres/container ]] && has_docker &&
        [[ $(docker inspect --format '{{.State.Running}}' "$(<"$postgres/container")" 2>/dev/null) == true ]]
}
