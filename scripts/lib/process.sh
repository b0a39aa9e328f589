# Processes of one stack: started detached, remembered by pid and start time, ended by exactly that.
# shellcheck shell=bash

# Deciseconds between TERM and KILL.
STOP_WAIT_DS=150

# The start time of a process in clock ticks since boot: with the pid, it names one process for ever.
# The command name in /proc/PID/stat may hold spaces, so fields count from its closing parenthesis.
process_start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  [[ $1 != Z ]] || return 1
  printf '%s\n' "${20}"
}

# The live pid of a server of this stack, or nothing.
process_pid() {
  local pid started
  read -r pid started 2>/dev/null <"$STACK/pids/$1" || return 1
  [[ $(process_start_time "$pid") == "$started" ]] || return 1
  printf '%s\n' "$pid"
}

# process_start NAME COMMAND...: its own session, no input, output to its log: nothing of the caller is held open.
process_start() {
  local name=$1 pid
  shift
  mkdir -p "$STACK/pids" "$STACK/logs"
  setsid "$@" </dev/null >>"$STACK/logs/$name.log" 2>&1 9>&- &
  pid=$!
  disown "$pid"
  printf '%s %s\n' "$pid" "$(process_start_time "$pid")" >"$STACK/pids/$name"
}

# process_stop NAME SIGNAL: waits until it is gone; after the patience for TERM it is killed.
process_stop() {
  local name=$1 signal=$2 pid waited=0
  if ! pid=$(process_pid "$name"); then
    rm -f "$STACK/pids/$name"
    return 0
  fi
  kill -s "$signal" "$pid" 2>/dev/null || true
  # A stopped process acts on TERM only when it runs again.
  kill -s CONT "$pid" 2>/dev/null || true
  while process_pid "$name" >/dev/null; do
    if [[ $waited -ge $STOP_WAIT_DS ]]; then
      kill -s KILL "$pid" 2>/dev/null || true
    fi
    [[ $waited -lt $((STOP_WAIT_DS + 50)) ]] || return 1
    sleep 0.1
    waited=$((waited + 1))
  done
  rm -f "$STACK/pids/$name"
}
