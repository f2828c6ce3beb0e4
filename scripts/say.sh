# shellcheck shell=bash
# What ./dev says: steps, notes, failures, and progress while it waits.

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' red='' green='' plain=''
fi

step() { printf '%s==> %s%s\n' "$bold" "$*" "$plain"; }
note() { printf '    %s\n' "$*"; }
good() { printf '%s==> %s%s\n' "$green" "$*" "$plain"; }
bad() { printf '%s==> %s%s\n' "$red" "$*" "$plain" >&2; }

# fail MESSAGE [LOG]: says what went wrong, shows the end of its log, and ends ./dev with status 1.
fail() {
    bad "Failed: $1"
    [[ -z ${2:-} ]] || show_log "$2" >&2
    exit 1
}

# show_log LOG: the last lines of a log, and where the rest of it is.
show_log() {
    if [[ -s $1 ]]; then
        note "The end of $1:"
        tail -n 20 "$1" | sed 's/^/    | /'
    else
        note "Its log is empty: $1"
    fi
}

# wait_until WHAT SECONDS CONDITION...: tries CONDITION four times a second and shows how long it
# has waited. Returns 1 when the time is up, and 2 when the function gave_up says that there is
# nothing left to wait for.
wait_until() {
    local what=$1 limit=$2 began=$SECONDS shown=-1 waited
    shift 2
    until "$@"; do
        waited=$((SECONDS - began))
        if ((waited >= limit)); then
            end_progress
            return 1
        elif [[ -n ${watched_process:-} ]] && ! is_running "$watched_process"; then
            end_progress
            return 2
        elif ((waited != shown)); then
            shown=$waited
            show_progress "$what" "$waited" "$limit"
        fi
        sleep 0.25
    done
    end_progress
    note "$what: ready after $((SECONDS - began)) s"
}

# run_quietly WHAT LOG COMMAND...: runs a long command whose output nobody needs unless it fails.
run_quietly() {
    local what=$1 log=$2 began=$SECONDS pid status=0
    shift 2
    "$@" >>"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        show_progress "$what" "$((SECONDS - began))"
        sleep 1
    done
    wait "$pid" || status=$?
    end_progress
    ((status == 0)) && note "$what: done after $((SECONDS - began)) s"
    return "$status"
}

# One line that is rewritten on a terminal; elsewhere a line every ten seconds.
show_progress() {
    if [[ -t 1 ]]; then
        printf '\r    %s: %s s%s ' "$1" "$2" "${3:+ of at most $3}"
    elif (($2 > 0 && $2 % 10 == 0)); then
        note "$1: $2 s${3:+ of at most $3}"
    fi
}

end_progress() { [[ ! -t 1 ]] || printf '\r\e[K'; }
