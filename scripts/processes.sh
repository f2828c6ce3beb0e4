# shellcheck shell=bash
# Processes that ./dev starts: how they are remembered, watched and stopped.
#
# A process is remembered by its id and its start time, so that an id which the kernel gave to
# somebody else meanwhile is never mistaken for ours.

# start_process RECORD LOG COMMAND...: starts COMMAND in a session of its own (Ctrl-C does not
# reach it: ./dev stops things in order) and remembers it in the file RECORD.
start_process() {
    local record=$1 log=$2 pid
    shift 2
    # Descriptor 9 is the lock of with_lock: a child that kept it would hold the lock for its life.
    setsid "$@" >>"$log" 2>&1 </dev/null 9>&- &
    pid=$!
    printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$record"
}

# is_running RECORD: whether the remembered process is alive.
is_running() {
    local pid started
    [[ -s $1 ]] && read -r pid started <"$1" && [[ -n $started && $(start_time "$pid") == "$started" ]]
}

# stop_process RECORD SECONDS: asks the remembered process to end, waits, and kills it when it does
# not end in time.
stop_process() {
    local record=$1 limit=$2 pid _
    if is_running "$record"; then
        read -r pid _ <"$record"
        kill -TERM "$pid" 2>/dev/null || true
        local ends=$((SECONDS + limit))
        while is_running "$record" && ((SECONDS < ends)); do sleep 0.1; done
        if is_running "$record"; then
            note "process $pid did not end within $limit s and is killed"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$record"
}

# start_time PID: when it started, in clock ticks since boot; nothing for a process that is gone
# or has ended and only waits to be collected. Field 22 of /proc/PID/stat, see proc(5).
start_time() {
    local stat fields
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} == Z ]] || printf '%s' "${fields[19]}"
}

# with_lock NAME COMMAND...: one ./dev at a time in this clone does COMMAND; others wait.
with_lock() {
    local status=0
    exec 9>"$state/$1.lock"
    flock -n 9 || { note "another ./dev is busy with $1: waiting for it"; flock 9; }
    shift
    "$@" || status=$?
    exec 9>&-
    return "$status"
}

# choose_port VARIABLE FIRST: sets VARIABLE to the first port from FIRST on that nobody listens on and
# that this run has not given out. Ports from 32768 on are left alone: the kernel gives them to
# outgoing connections, so a server that restarts may find its own port taken.
chosen_ports=' '
choose_port() {
    local port=$2
    while is_listening "$port" || [[ $chosen_ports == *" $port "* ]]; do
        port=$((port + 1))
        ((port < 32768)) || fail "no free port from $2 on"
    done
    chosen_ports+="$port "
    printf -v "$1" '%s' "$port"
}

is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# http_answer PORT PATH [METHOD] [USER:PASSWORD]: prints the whole answer, nothing when there is none.
# Written on bash's own sockets: a fresh machine may have neither curl nor wget.
http_answer() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n' \
            "${3:-GET}" "$2" >&3
        [[ -z ${4:-} ]] || printf 'Authorization: Basic %s\r\n' "$(printf '%s' "$4" | base64 -w 0)" >&3
        printf '\r\n' >&3
        timeout 10 cat <&3
    ) 2>/dev/null || true
}

# http_status, with the same arguments: prints the status of the answer.
http_status() {
    local status=''
    read -r _ status _ < <(http_answer "$@") || true
    printf '%s' "$status"
}

answers_200() { [[ $(http_status "$@") == 200 ]]; }

# random_secret: 32 hexadecimal digits.
random_secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
