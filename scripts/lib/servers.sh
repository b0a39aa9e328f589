# How each server of a stack is configured, started and found ready.
# shellcheck shell=bash

# Deciseconds until a server must have become ready.
READY_WAIT_DS=600
MONGO_CACHE_GB=0.25
# The default is 60. What is written meanwhile is safe in the journal, whose files have their room before they are
# needed: it is a checkpoint that finds a disk full, and a test waits for that.
SMALL_DISK_CHECKPOINT_S=2
KAFKA_HEAP=${KAFKA_HEAP:-1g}
case ${KAFKA_JIT:-full} in
  full) KAFKA_JIT_OPTIONS=() ;;
  quick) KAFKA_JIT_OPTIONS=(-XX:TieredStopAtLevel=1) ;;
  *) fail "KAFKA_JIT is $KAFKA_JIT" "full or quick" ;;
esac
# A fixed id is fine: each stack's broker is alone in its cluster.
KAFKA_CLUSTER_ID=cXVpenN0cmVhbS1zdGFjaw

port_of() { cat "$STACK/ports/$1" 2>/dev/null; }

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The members of shard a or b, or of config, as NAME/HOST:PORT,HOST:PORT.
replica_set() {
  local set=$1 server addresses=()
  for server in "${SERVERS[@]}"; do
    case $server in
      mongo-config) [[ $set != config ]] || addresses+=("127.0.0.1:$(port_of "$server")") ;;
      mongo-"$set"-*) addresses+=("127.0.0.1:$(port_of "$server")") ;;
    esac
  done
  local IFS=,
  printf '%s/%s\n' "$set" "${addresses[*]}"
}

# The broker has a second listener for clients whose way to it a test wants to cut or slow down: it listens on one
# port and tells its clients another, on which the test's proxy listens.
write_kafka_properties() {
  local port=$1 controller=$2 via proxy
  via=$(port_of kafka-via)
  proxy=$(port_of kafka-proxy)
  cat >"$STACK/kafka.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller,VIA://127.0.0.1:$via
advertised.listeners=PLAINTEXT://127.0.0.1:$port,VIA://127.0.0.1:$proxy
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,VIA:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$STACK/data/kafka
# A topic that nobody created is a mistake that a test must see.
auto.create.topics.enable=false
num.partitions=12
# The cores are shared with all other servers and roles: three threads a listener and eight for requests only wait for
# one another.
num.network.threads=1
num.io.threads=2
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A dead worker's partitions move within 6 s, a changed assignment is heard within 0.2 s, and a
# transaction that a dead worker left open is aborted before its partitions move.
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=200
group.consumer.heartbeat.interval.ms=200
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# A broker that was killed may come back when its last life is taken for over: within 3 s, not the default of 9.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Retention bites within seconds, so that a test can wait for it.
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
# Indexes are sparse files in memory. Where the system reads far ahead, the first look at a page of one that was not used
# for a while fills all of it with zeros, 10 MB of them by default, while an append waits. A segment ends at some 44 MB now.
log.index.size.max.bytes=131072
# The default of 128 MB is an eighth of the heap, kept for topics far larger than a test's.
log.cleaner.dedupe.buffer.size=33554432
PROPERTIES
}

# A balancer in front of the edges that `scripts/stack balancer` names. A game's players go to one edge by the
# hash of their PIN, and to another one while that is not ready.
#
# An edge that drains or is full says 503 at /readyz: it gets no new sockets and keeps those that it has, which it
# closes in its own time. An edge that is gone says nothing: its sockets are cut at once. HAProxy knows the first
# state only from a 404, so its checks go through itself, where the edge's own 503 becomes one.
write_balancer_config() {
  local port=$1 stats=$2 number=0 edge admin servers=() tracking=() probes=() routes=()
  while IFS='=' read -r edge admin; do
    number=$((number + 1))
    servers+=("  server edge-$number $edge check addr 127.0.0.1 port $stats cookie edge-$number maxconn 9000")
    tracking+=("  server edge-$number $edge track edges/edge-$number maxconn 9000")
    routes+=("  use_backend ready-edge-$number if { path /ready/edge-$number }")
    probes+=("backend ready-edge-$number" "  http-request set-path /readyz" "  http-response set-status 404 if { status 503 }"
      "  retries 0" "  timeout connect 1s" "  timeout server 2s" "  server admin $admin" "")
  done <"$STACK/balancer.edges"
  {
    cat <<CONFIG
global
  maxconn 9000
  nbthread 1
  stats socket $STACK/balancer.sock mode 600 level admin
  # Sockets of the worker before a reload may stay so long.
  hard-stop-after 30s

defaults
  mode http
  option redispatch 1
  retries 3
  timeout connect 1s
  timeout client 75s
  timeout server 75s
  timeout http-request 5s
  timeout queue 5s
  # An edge pings its sockets far more often: one without a byte for so long is dead.
  timeout tunnel 75s
  timeout client-fin 5s
  timeout server-fin 5s

frontend health
  bind 127.0.0.1:$stats
  http-request return status 200 content-type text/plain string "up" if { path /up }
  http-request use-service prometheus-exporter if { path /metrics }
$(printf '%s\n' "${routes[@]}")
  stats enable
  stats uri /stats

frontend players
  bind 127.0.0.1:$port
  option forwardfor
  # The PIN where the client tells it, else the cookie of the edge that it was at.
  use_backend edges_by_pin if { url_param(pin) -m found }
  default_backend edges

backend edges
  balance leastconn
  cookie edge insert indirect nocache httponly attr SameSite=Lax
  option httpchk
  http-check send meth GET uri-lf "/ready/%[srv_name]" ver HTTP/1.1 hdr Host balancer
  http-check expect status 200
  http-check disable-on-404
  # A dead process resets its sockets by itself; the checks are for what hangs, and must not take a busy edge for
  # a dead one.
  timeout check 2s
  default-server inter 1s fastinter 500ms downinter 500ms fall 3 rise 1 on-marked-down shutdown-sessions
$(printf '%s\n' "${servers[@]}")

backend edges_by_pin
  balance url_param pin
  hash-type consistent wt6 avalanche
  option httpchk
  http-check disable-on-404
  default-server on-marked-down shutdown-sessions
$(printf '%s\n' "${tracking[@]}")

$(printf '%s\n' "${probes[@]}")
CONFIG
  } >"$STACK/balancer.cfg"
  haproxy -c -f "$STACK/balancer.cfg" >>"$STACK/logs/balancer.log" 2>&1
}

# kafka_java OPTION...: sets KAFKA_JAVA to the command of a JVM that knows Kafka's classes.
kafka_java() {
  KAFKA_JAVA=(java "$@" "-Dlog4j2.configurationFile=$TREE/scripts/lib/log4j2.properties" -cp "$KAFKA_LIBS/*")
  if [[ -n ${KAFKA_CLASSES_TO:-} ]]; then
    KAFKA_JAVA+=("-XX:ArchiveClassesAtExit=$KAFKA_CLASSES_TO")
  elif [[ -r $KAFKA_CLASSES ]]; then
    # Another JVM than the one that wrote it goes without, and says so in its log.
    KAFKA_JAVA+=("-XX:SharedArchiveFile=$KAFKA_CLASSES")
  fi
}

format_kafka() {
  [[ ! -e $STACK/data/kafka/meta.properties ]] || return 0
  mkdir -p "$STACK/data/kafka"
  KAFKA_CLASSES_TO='' kafka_java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
  "${KAFKA_JAVA[@]}" kafka.tools.StorageTool format -t "$KAFKA_CLUSTER_ID" -c "$STACK/kafka.properties" \
    >>"$STACK/logs/kafka.log" 2>&1
}

start_mongod() {
  local name=$1 role set extra=()
  set=${name#mongo-}
  set=${set%%-*}
  if [[ $set == config ]]; then role=--configsvr; else role=--shardsvr; fi
  mkdir -p "$STACK/data/$name"
  ! has_small_disk "$name" || extra=(--syncdelay "$SMALL_DISK_CHECKPOINT_S")
  process_start "$name" "$MONGOD" "$role" --replSet "$set" --port "$(port_of "$name")" --bind_ip 127.0.0.1 \
    --dbpath "$STACK/data/$name" --wiredTigerCacheSizeGB "$MONGO_CACHE_GB" --setParameter enableTestCommands=1 \
    --setParameter diagnosticDataCollectionEnabled=false --setParameter shutdownTimeoutMillisForSignaledShutdown=100 \
    --nounixsocket --quiet "${extra[@]}"
}

start_server() {
  local name=$1 port
  port=$(port_of "$name")
  mkdir -p "$STACK/logs"
  case $name in
    balancer)
      write_balancer_config "$port" "$(port_of balancer-stats)" || return 1
      process_start balancer haproxy -W -db -f "$STACK/balancer.cfg"
      ;;
    kafka)
      write_kafka_properties "$port" "$(port_of kafka-controller)"
      format_kafka || return 1
      # A collector that works beside the broker, as Kafka's own scripts choose, wants cores that are not there.
      kafka_java -Xms256m "-Xmx$KAFKA_HEAP" -XX:+UseParallelGC "${KAFKA_JIT_OPTIONS[@]}"
      process_start kafka "${KAFKA_JAVA[@]}" kafka.Kafka "$STACK/kafka.properties"
      ;;
    mongo-router)
      process_start mongo-router "$ROUTER_BIN" serve --listen "127.0.0.1:$port" --config "$(replica_set config)" \
        --shard "$(replica_set a)" --shard "$(replica_set b)"
      ;;
    mongo-*) start_mongod "$name" ;;
    redis)
      process_start redis redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --daemonize no \
        --dir "$STACK/data" --maxclients 10000
      ;;
    registry)
      # Its data is a topic of the stack's own broker, so it needs no folder.
      QUIZ_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:$(port_of kafka) QUIZ_REGISTRY__LISTEN=127.0.0.1:$port \
        process_start registry "$QUIZSTREAM" serve registry
      ;;
  esac
}

probe() {
  local name=$1 port
  port=$(port_of "$name")
  case $name in
    kafka) timeout 5 kcat -L -m 2 -b "127.0.0.1:$port" -t __none__ 2>/dev/null | grep -q ' 1 brokers' ;;
    mongo-router) timeout 5 "$ROUTER_BIN" command --port "$port" '{"hello":1}' >/dev/null 2>&1 ;;
    # A member serves when it leads or follows; right after a start it does neither.
    mongo-*) timeout 5 "$ROUTER_BIN" command --port "$port" '{"hello":1}' 2>/dev/null | grep -Eq '"(isWritablePrimary|secondary)":true' ;;
    balancer) timeout 5 curl -sf -o "$STACK/balancer.probe" "http://127.0.0.1:$(port_of balancer-stats)/up" ;;
    redis) [[ $(timeout 5 redis-cli -h 127.0.0.1 -p "$port" ping 2>/dev/null) == PONG ]] ;;
    registry) timeout 5 curl -sf -o "$STACK/registry.probe" "http://127.0.0.1:$port/subjects" ;;
  esac
}

# Waits until the server answers; gives up when its process has ended or the time is over.
wait_ready() {
  local name=$1 waited=0
  until probe "$name"; do
    process_pid "$name" >/dev/null || return 1
    [[ $waited -lt $READY_WAIT_DS ]] || return 1
    sleep 0.1
    waited=$((waited + 1))
  done
}

initiate_set() {
  local extra=()
  [[ $1 != config ]] || extra=(--configsvr)
  "$ROUTER_BIN" initiate "$(replica_set "$1")" "${extra[@]}" --timeout-s 40 >>"$STACK/logs/mongo-$1-initiate.log" 2>&1
}

add_shards() {
  local set
  for set in a b; do
    "$ROUTER_BIN" command --port "$(port_of mongo-router)" "{\"addShard\":\"$(replica_set "$set")\"}" \
      >>"$STACK/logs/mongo-add-shard.log" 2>&1 || return 1
  done
}
