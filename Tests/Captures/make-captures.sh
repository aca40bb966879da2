#!/bin/bash
# Makes the captures in this directory anew: real clients talk to real servers in two network
# namespaces, tcpdump records the wire between them. See README.md for what each capture holds.
#
#     sudo Tests/Captures/make-captures.sh [--no-install] [THEME…]
#
# Nothing leaves the machine: the namespaces have no route but the one to each other (10.77.0.0/16
# and fd77::/16). The only downloads are Debian and PyPI packages, before the
# traffic starts. Keys and certificates are made for one run and thrown away with it.
set -euo pipefail

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    echo
    echo "Themes (default: all): ${THEMES[*]}"
}

fail() {
    echo "make-captures.sh: $*" >&2
    exit 1
}

say() {
    printf '%s\n' "$*"
}

# Order matters a little: the crafted ones are made from earlier ones.
THEMES=(http dns tls12 tls13 tls-legacy tls-segmented dtls smtp starttls icmp ipv6 tcp retransmit udp udplite
    quic mqtt openvpn wireguard fragments vlan mpls pppoe gre ipip trill vxlan sctp linktypes pcapng nano
    many demo crafted malformed facts)

HERE=$(cd "$(dirname "$0")" && pwd)
INSTALL=yes
CHOSEN=()
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --no-install) INSTALL=no ;;
        -*) echo "make-captures.sh: unknown option $1 (see --help)" >&2; exit 64 ;;
        *)
            case " ${THEMES[*]} " in
                *" $1 "*) CHOSEN+=("$1") ;;
                *) echo "make-captures.sh: unknown theme $1, known are: ${THEMES[*]}" >&2; exit 64 ;;
            esac
            ;;
    esac
    shift
done
[ ${#CHOSEN[@]} -gt 0 ] || CHOSEN=("${THEMES[@]}")
[ "$(id -u)" = 0 ] || fail "network namespaces need root; run it with sudo"

WORK=$(mktemp -d /tmp/martlet-captures.XXXXXX)
chmod 755 "$WORK"
CLIENT=mcap$$c          # names with our process id, so that two runs do not meet
SERVER=mcap$$s
OUT=$WORK/captures      # finished captures move to $HERE only when they are complete
mkdir -p "$OUT" "$WORK/log"
SKIPPED=()

# Everything we started lives in the two namespaces, so what is in them is ours to end.
cleanup() {
    local status=$? namespace pid
    trap - EXIT INT TERM
    for namespace in "$CLIENT" "$SERVER"; do
        [ -e "/run/netns/$namespace" ] || continue
        for pid in $(ip netns pids "$namespace"); do
            kill "$pid" 2>/dev/null || true
        done
    done
    sleep 0.3
    for namespace in "$CLIENT" "$SERVER"; do
        [ -e "/run/netns/$namespace" ] || continue
        for pid in $(ip netns pids "$namespace"); do
            kill -KILL "$pid" 2>/dev/null || true
        done
        ip netns del "$namespace"
    done
    if [ "$status" != 0 ]; then
        echo "make-captures.sh: stopped with status $status; the logs are in $WORK/log" >&2
    else
        rm -rf "$WORK"
    fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- what we need ---------------------------------------------------------------------------------

PACKAGES=(tcpdump tshark wireshark-common iproute2 iputils-ping ethtool openssl curl nginx-light dnsmasq-base
    bind9-dnsutils mosquitto mosquitto-clients swaks libnet-ssleay-perl libio-socket-inet6-perl openvpn wireguard-go wireguard-tools libusrsctp-examples
    python3 python3-venv)

install_packages() {
    local missing=() package policy=/usr/sbin/policy-rc.d
    for package in "${PACKAGES[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing ${missing[*]}"
    # nginx, mosquitto and openvpn would start their services at once: not on this machine's own network.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
    else
        policy=
    fi
    local status=0
    apt-get update -q >"$WORK/log/apt" 2>&1 &&
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" \
            >>"$WORK/log/apt" 2>&1 || status=$?
    [ -z "$policy" ] || rm -f "$policy"
    [ "$status" = 0 ] || fail "apt-get could not install ${missing[*]}: $(tail -1 "$WORK/log/apt")"
}

# aioquic and aiosmtpd are not in Debian 12; a virtual environment leaves the system's Python alone.
install_python() {
    say "Fetching aioquic and aiosmtpd from PyPI into $WORK/venv"
    python3 -m venv "$WORK/venv"
    "$WORK/venv/bin/pip" install -q --disable-pip-version-check 'aioquic>=1.2,<2' 'aiosmtpd>=1.4,<2' \
        >"$WORK/log/pip" 2>&1 || fail "pip could not install aioquic and aiosmtpd: $(tail -1 "$WORK/log/pip")"
}

if [ "$INSTALL" = yes ]; then
    install_packages
fi
for tool in tcpdump tshark editcap mergecap dumpcap ethtool openssl curl nginx dnsmasq dig mosquitto swaks; do
    command -v "$tool" >/dev/null || fail "$tool is missing; run without --no-install"
done
install_python
PYTHON=$WORK/venv/bin/python

# --- two namespaces and a wire --------------------------------------------------------------------

# Runs inside a namespace with a host name, a resolver and an environment of its own, so that nothing
# of this host (its name, proxies, .curlrc, .swaksrc) can get into a capture.
cat > "$WORK/enter" <<END
#!/bin/sh
echo "\$1" > /proc/sys/kernel/hostname
shift
mount --bind "$WORK/resolv.conf" /etc/resolv.conf
cd "$WORK"
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$WORK" LC_ALL=C.UTF-8 "\$@"
END
chmod 755 "$WORK/enter"
printf 'nameserver 10.77.0.2\nsearch martlet.test\n' > "$WORK/resolv.conf"

client() { ip netns exec "$CLIENT" unshare --uts --mount "$WORK/enter" client.martlet.test "$@"; }
server() { ip netns exec "$SERVER" unshare --uts --mount "$WORK/enter" server.martlet.test "$@"; }

# Starts a program that stays, in the background: spawn SIDE LOGNAME PROGRAM…; its process id is in SPAWNED.
spawn() {
    local namespace=$1 name=$1.martlet.test log=$WORK/log/$2
    case $1 in client) namespace=$CLIENT ;; server) namespace=$SERVER ;; esac
    shift 2
    ip netns exec "$namespace" unshare --uts --mount "$WORK/enter" "$name" "$@" </dev/null >"$log" 2>&1 &
    SPAWNED=$!
}

stop() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# Waits until a condition holds: await SECONDS WHAT COMMAND…
await() {
    local tries=$(($1 * 20)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "waited in vain for $what"
        sleep 0.05
    done
}

listens() { [ -n "$(ip netns exec "$SERVER" ss -H -ln"$1" "sport = :$2")" ]; }

make_network() {
    say "Making the namespaces $CLIENT and $SERVER"
    local namespace
    for namespace in "$CLIENT" "$SERVER"; do
        ip netns add "$namespace"
        # No duplicate address detection, router solicitations or privacy addresses: they would only delay and blur.
        # arp_ignore: the wire's device must not answer for a tunnel's address.
        ip netns exec "$namespace" sysctl -q net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 \
            net.ipv6.conf.default.router_solicitations=0 net.ipv6.conf.default.use_tempaddr=0 \
            net.ipv4.conf.all.arp_ignore=1 net.ipv4.ping_group_range='0 2147483647'
        ip -n "$namespace" link set lo up
    done
    ip -n "$CLIENT" link add name wire address 02:00:00:77:00:01 type veth \
        peer name wire address 02:00:00:77:00:02 netns "$SERVER"
    ip -n "$CLIENT" address add 10.77.0.1/24 dev wire
    ip -n "$CLIENT" address add fd77::1/64 dev wire nodad
    ip -n "$SERVER" address add 10.77.0.2/24 dev wire
    ip -n "$SERVER" address add fd77::2/64 dev wire nodad
    for namespace in "$CLIENT" "$SERVER"; do
        # Packets as they would be on a real wire: no segments of 64 kB, no checksums left to the hardware.
        ip netns exec "$namespace" ethtool -K wire tx off rx off tso off gso off gro off >/dev/null 2>&1
        ip -n "$namespace" link set wire up
    done
    await 5 "the wire" client ping -c 1 -W 1 fd77::2
    sleep 1     # multicast reports of the start
}

# --- servers --------------------------------------------------------------------------------------

make_keys() {
    cd "$WORK"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 30 \
        -subj '/CN=martlet.test' -addext 'subjectAltName=DNS:martlet.test,DNS:*.martlet.test,IP:10.77.0.2,IP:fd77::2' \
        2>/dev/null
    # For TLS 1.0 and 1.1, whose oldest clients know RSA only.
    openssl req -x509 -newkey rsa:2048 -nodes -keyout rsa-key.pem -out rsa-cert.pem -days 30 \
        -subj '/CN=old.martlet.test' 2>/dev/null
    # A small authority for OpenVPN, which wants both sides' certificates.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca-key.pem -out ca.pem -days 30 \
        -subj '/CN=Martlet test authority' 2>/dev/null
    local side
    for side in server client; do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "vpn-$side-key.pem" \
            -out "vpn-$side.csr" -subj "/CN=vpn-$side.martlet.test" 2>/dev/null
        printf 'extendedKeyUsage=%sAuth\nkeyUsage=digitalSignature\n' "$side" > ext
        openssl x509 -req -in "vpn-$side.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile ext \
            -out "vpn-$side.pem" 2>/dev/null
    done
    openvpn --genkey secret ta.key >/dev/null 2>&1 || true
    cd "$HERE"
}

start_servers() {
    say "Starting the servers"
    make_keys
    mkdir -p "$WORK/www" "$WORK/nginx"
    printf '<!doctype html><title>Martlet</title><p>The bird that never sits down.</p>\n' > "$WORK/www/index.html"
    # Text that does not shrink to nothing, yet is the same in every run.
    head -c 26000 <(seq 1 8000) > "$WORK/www/long.txt"
    head -c 9000 <(seq 1 3000) > "$WORK/www/nine.txt"
    cat > "$WORK/nginx.conf" <<END
daemon off; user root; worker_processes 1; pid $WORK/nginx/pid; error_log $WORK/log/nginx-error;
events { worker_connections 64; }
http {
    access_log off; keepalive_timeout 5; default_type application/octet-stream;
    types { text/html html; text/plain txt; application/json json; }
    client_body_temp_path $WORK/nginx/body; proxy_temp_path $WORK/nginx/proxy; fastcgi_temp_path $WORK/nginx/fcgi;
    uwsgi_temp_path $WORK/nginx/uwsgi; scgi_temp_path $WORK/nginx/scgi;
    ssl_certificate $WORK/cert.pem; ssl_certificate_key $WORK/key.pem;
    server {
        listen 80; listen [::]:80; root $WORK/www;
        location / { add_header Set-Cookie "session=4d61; Path=/"; add_header Set-Cookie "theme=dark"; }
        location /form { default_type application/json; return 201 '{"stored": true}\n'; }
        location /moved { return 302 /index.html; }
    }
    server { listen 443 ssl http2; listen [::]:443 ssl http2; ssl_protocols TLSv1.3; root $WORK/www; }
    server {
        listen 8443 ssl http2; listen [::]:8443 ssl http2; ssl_protocols TLSv1.2; root $WORK/www;
        ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
    }
}
END
    spawn server nginx nginx -e stderr -c "$WORK/nginx.conf"

    local records=() name
    for name in www tls12-h2 tls12-h1 tls12-v6 tls13-h2 tls13-h1 tls13-v6 mail mqtt quic vpn; do
        records+=("--host-record=$name.martlet.test,10.77.0.2,fd77::2")
    done
    records+=("--host-record=client.martlet.test,10.77.0.1,fd77::1")
    # No upstream server: all that is not here is NXDOMAIN (martlet.test) or REFUSED (the rest).
    spawn server dnsmasq dnsmasq --conf-file=/dev/null --no-daemon --user=root --group=root --no-hosts --no-resolv \
        --pid-file="$WORK/dnsmasq.pid" --local=/martlet.test/ --local-ttl=300 --edns-packet-max=1232 \
        "${records[@]}" --cname=alias.martlet.test,www.martlet.test --mx-host=martlet.test,mail.martlet.test,10 \
        --srv-host=_mqtt._tcp.martlet.test,mqtt.martlet.test,1883 --txt-record=info.martlet.test,v=martlet1,"two words" \
        --caa-record=martlet.test,0,issue,ca.martlet.test \
        --txt-record=big.martlet.test,"$(seq -s - 1 80)","$(seq -s - 101 160)","$(seq -s - 201 260)","$(seq -s - 301 360)","$(seq -s - 401 460)","$(seq -s - 501 560)"
    # openssl's own server beside nginx. -www answers requests; P-384 only makes it ask for a second ClientHello.
    local tls=(openssl s_server -cert "$WORK/cert.pem" -key "$WORK/key.pem" -quiet -www -alpn 'http/1.1,h2')
    spawn server s13 "${tls[@]}" -accept 4413 -tls1_3
    spawn server s12 "${tls[@]}" -accept 4412 -tls1_2
    spawn server shrr "${tls[@]}" -accept 4414 -tls1_3 -groups P-384
    spawn server sold openssl s_server -cert "$WORK/rsa-cert.pem" -key "$WORK/rsa-key.pem" -quiet -www -accept 4410 \
        -cipher 'ALL:@SECLEVEL=0'
    # The DTLS server reads its standard input; a pipe that stays open keeps it alive.
    spawn server dtls sh -c "tail -f /dev/null | openssl s_server -dtls1_2 -cert $WORK/cert.pem -key $WORK/key.pem \
        -accept 4436 -alpn coap -listen -mtu 1200"
    spawn server smtp "$PYTHON" "$HERE/smtp_server.py" "$WORK/cert.pem" "$WORK/key.pem"
    cat > "$WORK/mosquitto.conf" <<END
user root
persistence false
allow_anonymous true
listener 1883
listener 8883
certfile $WORK/cert.pem
keyfile $WORK/key.pem
END
    spawn server mosquitto mosquitto -c "$WORK/mosquitto.conf"
    spawn server quic "$PYTHON" "$HERE/quic_pair.py" server --port 443 --cert "$WORK/cert.pem" --key "$WORK/key.pem"
    spawn server quic-retry "$PYTHON" "$HERE/quic_pair.py" server --port 4434 --retry --cert "$WORK/cert.pem" \
        --key "$WORK/key.pem"
    spawn server serve "$PYTHON" "$HERE/clients.py" serve
    local port
    for port in t:80 t:443 t:8443 t:4410 t:4412 t:4413 t:4414 u:53 t:53 u:4436 t:25 t:1883 u:443 u:4434 t:7001; do
        await 20 "the server on port ${port#*:}" listens "${port%:*}" "${port#*:}"
    done
}

# --- recording ------------------------------------------------------------------------------------

# record NAME DEVICE 'FILTER' [tcpdump options] -- COMMAND…: the command's traffic as seen at the client's device.
record() {
    local file=$OUT/$1 device=$2 filter=$3 options=() log=$WORK/log/tcpdump-$1 dump
    shift 3
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    spawn client "tcpdump-${file##*/}" tcpdump -n -U --immediate-mode -Z root -B 8192 -i "$device" "${options[@]}" \
        -w "$file" ${filter:+"$filter"}
    dump=$SPAWNED
    await 10 "tcpdump for ${file##*/}" grep -q 'listening on' "$log"
    # In a subshell of its own, because set -e would not hold to the left of ||.
    (trap - EXIT; "$@") &
    wait "$!" || fail "the traffic for ${file##*/} failed ($*)"
    sleep 0.4
    stop "$dump"
    if grep -q '^[1-9][0-9]* packets dropped by kernel' "$log"; then
        fail "tcpdump lost packets of ${file##*/}; run it again on a less busy machine"
    fi
    say "  $(printf '%-26s' "${file##*/}") $(grep -o '^[0-9]* packets captured' "$log"), $(stat -c %s "$file") bytes"
}

skip() {
    SKIPPED+=("$1: $2")
    say "  skipped $1: $2"
}

# curl, over IPv4 unless -6 or an IPv6 address says otherwise.
web() {
    local version=-4
    case "$*" in *-6* | *'['*) version=-6 ;; esac
    client curl -q -sS "$version" --max-time 20 --cacert "$WORK/cert.pem" "$@" >/dev/null
}
tls_client() {      # a request through openssl s_client: tls_client SNI PORT OPTIONS…
    local name=$1 port=$2
    shift 2
    printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' "$name" |
        client timeout 15 openssl s_client -connect "10.77.0.2:$port" -servername "$name" -quiet -ign_eof "$@" \
            >/dev/null 2>>"$WORK/log/s_client" || true
}
script() { client "$PYTHON" "$HERE/clients.py" "$@"; }

http_traffic() {
    web http://www.martlet.test/
    web -A 'martlet-demo/1.0' -e http://start.martlet.test/here http://www.martlet.test/nine.txt http://www.martlet.test/missing
    web -d 'bird=martlet&legs=none' http://www.martlet.test/form
    web -I http://www.martlet.test/nine.txt
    web -X OPTIONS http://www.martlet.test/form
    web -X DELETE http://www.martlet.test/form
    web -T "$WORK/www/index.html" http://www.martlet.test/form
    web -b 'session=4d61' http://www.martlet.test/moved
    web -6 http://www.martlet.test/
}

dns_traffic() {
    local dig=(client dig @10.77.0.2 +tries=1 +time=3)
    "${dig[@]}" www.martlet.test A
    "${dig[@]}" www.martlet.test AAAA
    "${dig[@]}" alias.martlet.test A +noedns
    "${dig[@]}" info.martlet.test TXT
    "${dig[@]}" martlet.test MX
    "${dig[@]}" _mqtt._tcp.martlet.test SRV
    "${dig[@]}" martlet.test CAA
    "${dig[@]}" -x 10.77.0.2
    "${dig[@]}" nowhere.martlet.test A
    "${dig[@]}" outside.example A
    "${dig[@]}" www.martlet.test A +tcp
    "${dig[@]}" info.martlet.test TXT +tcp
    "${dig[@]}" big.martlet.test TXT            # truncated, then again over TCP
    client dig @fd77::2 +tries=1 +time=3 www.martlet.test AAAA
} >"$WORK/log/dig"

tls12_traffic() {
    local old=(--tlsv1.2 --tls-max 1.2)
    web "${old[@]}" --http2 https://tls12-h2.martlet.test:8443/nine.txt
    web "${old[@]}" --http1.1 https://tls12-h1.martlet.test:8443/nine.txt
    web "${old[@]}" -6 --http2 https://tls12-v6.martlet.test:8443/
    web "${old[@]}" --no-alpn https://10.77.0.2:8443/              # an address: no SNI, and no ALPN
    tls_client tls12-openssl.martlet.test 4412 -tls1_2 -alpn h2,http/1.1
    # A session ticket, used at once: an abbreviated handshake.
    tls_client tls12-full.martlet.test 4412 -tls1_2 -sess_out "$WORK/session12"
    tls_client tls12-resumed.martlet.test 4412 -tls1_2 -sess_in "$WORK/session12"
}

tls13_traffic() {
    web --http2 https://tls13-h2.martlet.test/nine.txt
    web --http1.1 https://tls13-h1.martlet.test/nine.txt
    web -6 --http2 https://tls13-v6.martlet.test/
    web --no-alpn https://10.77.0.2/
    tls_client tls13-openssl.martlet.test 4413 -alpn h2,http/1.1
    tls_client tls13-retry.martlet.test 4414 -groups X25519:P-384   # HelloRetryRequest, two ClientHellos
    tls_client tls13-full.martlet.test 4413 -sess_out "$WORK/session13"
    tls_client tls13-resumed.martlet.test 4413 -sess_in "$WORK/session13"
}

tls_legacy_traffic() {
    local weak=(-cipher 'ALL:@SECLEVEL=0')
    tls_client tls10.martlet.test 4410 -tls1 "${weak[@]}"
    tls_client tls11.martlet.test 4410 -tls1_1 "${weak[@]}"
    tls_client tls10-alpn.martlet.test 4410 -tls1 "${weak[@]}" -alpn http/1.1
    script tls-old 10.77.0.2 4410
}

dtls_traffic() {
    (echo 'hello over datagrams'; sleep 0.7) |
        client timeout 10 openssl s_client -dtls1_2 -connect 10.77.0.2:4436 -servername dtls.martlet.test \
            -alpn coap,h2 -mtu 1200 >/dev/null 2>>"$WORK/log/s_client" || true
}

mail() { client swaks -n -S 2 --server "$1" --helo client.martlet.test --from sender@martlet.test "${@:2}" \
    --header 'Subject: a martlet' --body 'The bird that never sits down.' \
    --header 'Date: Thu, 01 Jan 2026 00:00:00 +0000' --header 'Message-Id: <1@martlet.test>'; }

smtp_traffic() {
    mail 10.77.0.2 --to receiver@martlet.test,second@martlet.test
    mail 10.77.0.2 --to nobody@martlet.test || true         # 550, which swaks reports as a failure
    mail fd77::2 --to receiver@martlet.test
    client "$PYTHON" - <<'END'
import smtplib
with smtplib.SMTP("10.77.0.2", local_hostname="client.martlet.test") as mail:
    mail.helo("old.martlet.test")
    mail.docmd("VRFY", "receiver@martlet.test")
    mail.docmd("WHAT")
    mail.noop()
    mail.rset()
END
} >"$WORK/log/swaks" 2>&1

starttls_traffic() {
    mail 10.77.0.2 --to receiver@martlet.test --tls --tls-sni starttls.martlet.test
    mail fd77::2 --to receiver@martlet.test --tls --tls-sni starttls-v6.martlet.test
} >"$WORK/log/swaks-tls" 2>&1

# Echo, port unreachable, and one echo too large for one packet.
icmp_traffic() {
    client ping -q -c 3 -i 0.2 10.77.0.2
    client ping -q -c 3 -i 0.2 fd77::2
    client ping -q -c 1 -s 0 10.77.0.2
    client ping -q -c 1 -s 1400 -p 4d41525457 10.77.0.2
    client "$PYTHON" - <<'END'
import socket
for family, host in ((socket.AF_INET, "10.77.0.2"), (socket.AF_INET6, "fd77::2")):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect((host, 7998))
        sock.send(b"nobody is there")
        try:
            sock.recv(100)
        except OSError:
            pass
END
} >"$WORK/log/ping"

ipv6_traffic() {
    client ping -q -c 2 -i 0.2 fd77::2 >/dev/null
    web -6 http://www.martlet.test/
    web -6 --http2 https://tls13-v6.martlet.test/
    client dig @fd77::2 +tries=1 +time=3 www.martlet.test AAAA >/dev/null
    script udp fd77::2
}

tcp_traffic() {
    script tcp 10.77.0.2
    script tcp fd77::2
    script slow-http 10.77.0.2
}

udp_traffic() { script udp 10.77.0.2; script udp fd77::2; }
udplite_traffic() { script udplite 10.77.0.2; script udplite fd77::2; }

h3() { client timeout 30 "$PYTHON" "$HERE/quic_pair.py" client "$@" 2>>"$WORK/log/quic-client"; }

quic_traffic() {
    h3 10.77.0.2 443 --sni quic-v1.martlet.test --user-agent 'martlet-demo/1.0 quic'
    h3 10.77.0.2 443 --sni quic-v2.martlet.test --version 2
    h3 fd77::2 443 --sni quic-v6.martlet.test
    h3 10.77.0.2 4434 --sni quic-retry.martlet.test
    h3 10.77.0.2 443 --sni quic-large.martlet.test --large-hello
    h3 10.77.0.2 443 --sni quic-early.martlet.test --early-data
    h3 10.77.0.2 443 --sni quic-negotiated.martlet.test --unknown-version
}

mqtt_traffic() {
    local pub=(client mosquitto_pub -h 10.77.0.2 -i martlet-publisher) sub
    client timeout 15 mosquitto_sub -h 10.77.0.2 -i martlet-subscriber -V mqttv311 -q 2 -k 5 -C 4 \
        -t 'birds/+/height' -t 'weather/#' -u watcher -P not-a-secret >/dev/null &
    sub=$!
    sleep 0.7
    "${pub[@]}" -V mqttv311 -t birds/martlet/height -m 1200 -q 0
    "${pub[@]}" -V mqttv311 -t birds/swift/height -m 900 -q 1 -r
    "${pub[@]}" -V mqttv5 -t weather/wind -m 'north 4' -q 2
    "${pub[@]}" -V mqttv31 -t weather/rain -m none -q 0 --will-topic birds/gone --will-payload bye --will-retain
    wait "$sub"
    client mosquitto_pub -h fd77::2 -i martlet-six -V mqttv5 -t birds/six -m 6 -q 1
}

# Each OpenVPN takes a mode and makes a tunnel that pings and a download use: enough data packets above
# 500 bytes for the detector's verdict.
openvpn_tunnel() {
    local number=$1 kind=$2 port=$3
    shift 3
    local net=10.77.2$number common=(--dev tun --dev-type tun --topology subnet --verb 3 --ca "$WORK/ca.pem"
        --data-ciphers AES-256-GCM --disable-dco --auth-nocache)
    local server_kind=$kind client_kind=$kind ours=()
    [ "$kind" = udp ] || { server_kind=tcp-server; client_kind=tcp-client; }
    [ "${1:-}" != tls-auth ] || ours=(--tls-auth "$WORK/ta.key")
    local peer
    spawn server "openvpn$number-server" openvpn --dev "vpn$number" "${common[@]}" --proto "$server_kind" --port "$port" \
        --server "$net.0" 255.255.255.0 --dh none --cert "$WORK/vpn-server.pem" --key "$WORK/vpn-server-key.pem" \
        --keepalive 2 20 ${ours[@]:+"${ours[@]}" 0}
    peer=$SPAWNED
    await 15 "OpenVPN's server" grep -q 'Initialization Sequence Completed' "$WORK/log/openvpn$number-server"
    spawn client "openvpn$number-client" openvpn --client --dev "vpn$number" "${common[@]}" --proto "$client_kind" \
        --remote 10.77.0.2 "$port" --nobind --cert "$WORK/vpn-client.pem" --key "$WORK/vpn-client-key.pem" \
        --remote-cert-tls server ${ours[@]:+"${ours[@]}" 1}
    local mine=$SPAWNED
    await 20 "OpenVPN's client" grep -q 'Initialization Sequence Completed' "$WORK/log/openvpn$number-client"
    client ping -q -c 3 -i 0.2 "$net.1" >/dev/null
    web "http://$net.1/long.txt"
    sleep 2.2       # a keepalive or two
    stop "$mine"
    stop "$peer"
}

wireguard_traffic() {
    local side key=() public=()
    for side in 0 1; do
        (umask 077; wg genkey > "$WORK/wg$side.key")
        key[side]=$WORK/wg$side.key
        public[side]=$(wg pubkey < "$WORK/wg$side.key")
    done
    # The kernel has no WireGuard, wireguard-go does the same in user space.
    spawn client wgc env LOG_LEVEL=error wireguard-go -f "mcap${$}0"
    local one=$SPAWNED
    spawn server wgs env LOG_LEVEL=error wireguard-go -f "mcap${$}1"
    local two=$SPAWNED
    await 10 "wireguard-go" ip -n "$CLIENT" link show "mcap${$}0"
    await 10 "wireguard-go" ip -n "$SERVER" link show "mcap${$}1"
    # The server is ready before the client says its first word, so one handshake is enough.
    server wg set "mcap${$}1" listen-port 51820 private-key "${key[1]}" peer "${public[0]}" \
        allowed-ips 10.77.30.0/24,fd77:30::/64
    ip -n "$SERVER" address add 10.77.30.2/24 dev "mcap${$}1"
    ip -n "$SERVER" address add fd77:30::2/64 dev "mcap${$}1" nodad
    ip -n "$SERVER" link set "mcap${$}1" mtu 1420 up
    sleep 0.5
    client wg set "mcap${$}0" listen-port 51820 private-key "${key[0]}" peer "${public[1]}" \
        endpoint 10.77.0.2:51820 allowed-ips 10.77.30.0/24,fd77:30::/64 persistent-keepalive 2
    ip -n "$CLIENT" address add 10.77.30.1/24 dev "mcap${$}0"
    ip -n "$CLIENT" address add fd77:30::1/64 dev "mcap${$}0" nodad
    ip -n "$CLIENT" link set "mcap${$}0" mtu 1420 up
    client ping -q -c 2 -i 0.2 10.77.30.2 >/dev/null
    client ping -q -c 2 -i 0.2 fd77:30::2 >/dev/null
    web http://10.77.30.2/nine.txt
    sleep 2.5
    stop "$one"
    stop "$two"
}

fragments_traffic() {
    client ping -q -c 1 -s 4000 10.77.0.2 >/dev/null
    client ping -q -c 1 -s 4000 fd77::2 >/dev/null
    script large 10.77.0.2
    script large fd77::2
}

# tunnel NAME NUMBER MODE ARGUMENT [encap.py's options]: one end in each namespace, 10.77.NUMBER.0/24 and fd77:NUMBER::/64.
tunnel() {
    local name=$1 number=$2 mode=$3 argument=$4 side namespace
    shift 4
    TUNNEL=()
    for side in 1 2; do
        local where=()
        case $mode in
            gre* | ipip)
                if [ "${OUTER:-4}" = 6 ]; then
                    where=(--local "fd77::$side" --peer "fd77::$((3 - side))")
                else
                    where=(--local "10.77.0.$side" --peer "10.77.0.$((3 - side))")
                fi
                ;;
            *) where=(--over wire --peer-mac "02:00:00:77:00:0$((3 - side))") ;;
        esac
        [ "$side" = 1 ] && namespace=client || namespace=server
        spawn "$namespace" "encap-$name-$side" "$PYTHON" "$HERE/encap.py" "$name" "${where[@]}" "$@" "$mode" "$argument"
        TUNNEL+=("$SPAWNED")
        [ "$side" = 1 ] && namespace=$CLIENT || namespace=$SERVER
        await 5 "the device $name" ip -n "$namespace" link show "$name"
        ip -n "$namespace" link set "$name" mtu 1400
        # Only a TAP has a MAC address to set.
        ip -n "$namespace" link set "$name" address "02:00:00:77:$(printf %02x "$number"):0$side" 2>/dev/null || true
        ip -n "$namespace" address add "10.77.$number.$side/24" dev "$name"
        ip -n "$namespace" address add "fd77:$number::$side/64" dev "$name" nodad
        ip -n "$namespace" link set "$name" up
    done
    await 5 "the tunnel $name" client ping -c 1 -W 1 "10.77.$number.2"
}

tunnel_down() {
    local pid
    for pid in "${TUNNEL[@]}"; do
        stop "$pid"
    done
}

# What goes through every tunnel.
inside() {
    local number=$1
    client ping -q -c 2 -i 0.2 "10.77.$number.2" >/dev/null
    client ping -q -c 2 -i 0.2 "fd77:$number::2" >/dev/null
    web "http://10.77.$number.2/"
    client dig "@10.77.$number.2" +tries=1 +time=3 www.martlet.test A >/dev/null
    web --http2 --connect-to "::10.77.$number.2:443" "https://tls13-h2.martlet.test/"
    web "http://[fd77:$number::2]/"
}

tunneled() {        # tunneled NAME NUMBER MODE ARGUMENT: up, traffic, down
    tunnel "$@"
    inside "$2"
    tunnel_down
}

vlan_traffic() {
    tunneled vlan100 100 tags 8100:100
    tunneled qinq 101 tags 88a8:200,8100:300
    tunneled prio 102 tags 8100:0
}

mpls_traffic() {
    tunneled mpls 103 mpls 16001,24002
    tunneled mplspw 104 mpls-pw 1001
}

gre_traffic() {
    tunneled greplain 105 gre ''
    tunneled grefull 106 gre csum,key,seq
    tunneled greeth 107 gre-eth key
    OUTER=6 tunneled gresix 108 gre ''
}

ipip_traffic() {
    tunneled ipip4 109 ipip ''
    OUTER=6 tunneled ipip6 110 ipip ''
}

vxlan_traffic() {
    local side namespace
    for side in 1 2; do
        [ "$side" = 1 ] && namespace=$CLIENT || namespace=$SERVER
        ip -n "$namespace" link add name vx type vxlan id 77 dstport 4789 local "10.77.0.$side" \
            remote "10.77.0.$((3 - side))" dev wire
        ip -n "$namespace" link set vx address "02:00:00:77:70:0$side" mtu 1400
        ip netns exec "$namespace" ethtool -K vx tx off >/dev/null 2>&1 || true
        ip -n "$namespace" address add "10.77.112.$side/24" dev vx
        ip -n "$namespace" address add "fd77:112::$side/64" dev vx nodad
        ip -n "$namespace" link set vx up
    done
    inside 112
    ip -n "$CLIENT" link del vx
    ip -n "$SERVER" link del vx
}

# --- themes ---------------------------------------------------------------------------------------

theme_http() { record http.pcap wire 'tcp port 80' -- http_traffic; }
theme_dns() { record dns.pcap wire 'port 53' -- dns_traffic; }
theme_tls12() { record tls12.pcap wire 'tcp port 8443 or tcp port 4412' -- tls12_traffic; }
theme_tls13() { record tls13.pcap wire 'tcp port 443 or tcp portrange 4413-4414' -- tls13_traffic; }
theme_tls-legacy() { record tls-legacy.pcap wire 'tcp port 4410' -- tls_legacy_traffic; }
theme_tls-segmented() { record tls-segmented.pcap wire 'tcp port 443' -- script tls-split 10.77.0.2 443; }
theme_dtls() { record dtls.pcap wire 'udp port 4436' -- dtls_traffic; }
theme_smtp() { record smtp.pcap wire 'tcp port 25' -- smtp_traffic; }
theme_starttls() { record starttls.pcap wire 'tcp port 25' -- starttls_traffic; }
theme_icmp() { record icmp.pcap wire 'icmp or icmp6 or udp port 7998' -- icmp_traffic; }
theme_ipv6() { record ipv6.pcap wire ip6 -- ipv6_traffic; }
theme_tcp() { record tcp.pcap wire tcp -- tcp_traffic; }
theme_udp() { record udp.pcap wire 'ip6 protochain 17 or udp' -- udp_traffic; }
theme_udplite() { record udplite.pcap wire 'ip proto 136 or ip6 proto 136' -- udplite_traffic; }
theme_quic() { record quic.pcap wire 'udp port 443 or udp port 4434' -- quic_traffic; }
theme_mqtt() { record mqtt.pcap wire 'tcp port 1883' -- mqtt_traffic; }
theme_openvpn() {
    record openvpn.pcap wire 'udp port 1194' -- openvpn_tunnel 0 udp 1194
    record openvpn-tcp.pcap wire 'tcp port 1194' -- openvpn_tunnel 1 tcp 1194
    record openvpn-tlsauth.pcap wire 'udp port 1195' -- openvpn_tunnel 2 udp 1195 tls-auth
}
theme_wireguard() {
    if command -v wireguard-go >/dev/null && command -v wg >/dev/null; then
        record wireguard.pcap wire 'udp port 51820' -- wireguard_traffic
    else
        skip wireguard 'neither wireguard-go nor wg is installed'
    fi
}
theme_fragments() { record fragments.pcap wire 'icmp or udp port 7000 or ip[6:2] & 0x3fff != 0 or ip6[6] = 44 or ip6[6] = 58' -- fragments_traffic; }
theme_vlan() { record vlan.pcap wire vlan -- vlan_traffic; }
theme_mpls() { record mpls.pcap wire mpls -- mpls_traffic; }
theme_pppoe() { record pppoe.pcap wire pppoes -- tunneled pppoe 111 pppoe 4660; }
theme_gre() { record gre.pcap wire 'ip proto 47 or ip6 proto 47' -- gre_traffic; }
theme_ipip() { record ipip.pcap wire 'ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41' -- ipip_traffic; }
theme_trill() { record trill.pcap wire 'ether proto 0x22f3' -- tunneled trill 113 trill 17; }
theme_vxlan() { record vxlan.pcap wire 'udp port 4789' -- vxlan_traffic; }

# A wire that loses and swaps packets: retransmissions, duplicates and reordering as TCP makes them.
theme_retransmit() {
    tunnel lossy 114 tags '' --lose-every 11 --swap-every 7
    record retransmit.pcap wire 'tcp and net 10.77.114.0/24' -- web http://10.77.114.2/long.txt \
        http://10.77.114.2/nine.txt http://10.77.114.2/
    tunnel_down
}

sctp_traffic() {
    local examples=/usr/lib/usrsctp one
    spawn server sctp "$examples/echo_server"
    one=$SPAWNED
    sleep 1
    for address in 10.77.0.2 fd77::2; do
        (sleep 0.3; for n in 1 2 3; do echo "message $n over streams"; sleep 0.15; done; sleep 0.5) |
            client timeout 10 "$examples/client" "$address" 7 >>"$WORK/log/sctp-client" 2>&1 || true
    done
    stop "$one"
}
theme_sctp() {
    # This kernel may have no SCTP; usrsctp speaks it in user space over raw sockets.
    if [ -x /usr/lib/usrsctp/client ]; then
        record sctp.pcap wire 'ip proto 132 or ip6 proto 132' -- sctp_traffic
        [ "$(tcpdump -r "$OUT/sctp.pcap" 2>/dev/null | wc -l)" -gt 4 ] || {
            rm -f "$OUT/sctp.pcap"
            skip sctp 'usrsctp made no association here'
        }
    else
        skip sctp 'libusrsctp-examples is not installed'
    fi
}

web_and_names() {
    client dig @10.77.0.2 +tries=1 www.martlet.test A >/dev/null
    client dig @fd77::2 +tries=1 www.martlet.test AAAA >/dev/null
    web http://www.martlet.test/
    web -6 http://www.martlet.test/
    web --http2 https://tls13-h2.martlet.test/
    client ping -q -c 1 10.77.0.2 >/dev/null
}
theme_linktypes() {
    record sll.pcap any 'not arp and not port 7000' -y LINUX_SLL -- web_and_names
    record sll2.pcap any 'not arp and not port 7000' -y LINUX_SLL2 -- web_and_names
    tunnel rawtun 115 ipip ''
    record raw.pcap rawtun '' -- inside 115
    tunnel_down
}
theme_nano() { record nano.pcap wire 'not arp' --time-stamp-precision=nano -- web_and_names; }

theme_pcapng() {
    local dump
    tunnel ngtun 116 ipip ''
    # Two interfaces with two link types in one file, which only pcapng can hold.
    spawn client dumpcap dumpcap -q -i wire -f 'not arp and not proto 4 and not proto 41' -i ngtun -w "$WORK/two.pcapng"
    dump=$SPAWNED
    await 10 dumpcap test -s "$WORK/two.pcapng"
    sleep 1
    web_and_names
    inside 116
    sleep 1
    stop "$dump"
    tunnel_down
    python3 "$HERE/craft.py" plain-section "$WORK/two.pcapng" "$OUT/two-interfaces.pcapng"
    say "  two-interfaces.pcapng      $(stat -c %s "$OUT/two-interfaces.pcapng") bytes"
    record dns-for-pcapng.pcap wire 'port 53' -- dns_traffic
    mv "$OUT/dns-for-pcapng.pcap" "$WORK/dns.pcap"
    editcap -F pcapng "$WORK/dns.pcap" "$WORK/dns.pcapng"
    python3 "$HERE/craft.py" plain-section "$WORK/dns.pcapng" "$OUT/dns.pcapng"
}

theme_many() { record many-flows.pcap wire 'udp port 7000' -- script many 10.77.0.2 1000; }

# Everything at the same time, as on a link that many use: the capture for the demo.
demo_traffic() {
    local tasks=() task
    for task in http_traffic dns_traffic tls12_traffic tls13_traffic smtp_traffic starttls_traffic icmp_traffic \
        quic_traffic mqtt_traffic udp_traffic udplite_traffic dtls_traffic wireguard_demo "openvpn_tunnel 3 udp 1194"; do
        (trap - EXIT; $task) &
        tasks+=($!)
    done
    (trap - EXIT; tunneled vlan120 120 tags 8100:120) &
    tasks+=($!)
    for task in "${tasks[@]}"; do
        wait "$task" || return 1
    done
}
wireguard_demo() { ! command -v wireguard-go >/dev/null || wireguard_traffic; }
theme_demo() {
    record demo.pcap wire '' --time-stamp-precision=nano -- demo_traffic
    # Microseconds: every tool reads them.
    editcap -F pcap "$OUT/demo.pcap" "$OUT/demo-micro.pcap" && mv "$OUT/demo-micro.pcap" "$OUT/demo.pcap"
}

# The crafted ones need their sources, from this run or an earlier one: from NAME puts the path into SOURCE.
from() {
    SOURCE=$OUT/$1
    [ -s "$SOURCE" ] || SOURCE=$HERE/$1
    [ -s "$SOURCE" ] || fail "$1 is needed first: run without naming themes"
}
craft() { python3 "$HERE/craft.py" "$@"; }
theme_crafted() {
    local kind
    from raw.pcap
    for kind in null loop ppp chdlc raw12 ipv4 ipv6 user0; do
        craft link "$SOURCE" "$OUT/link-$kind.pcap" "$kind"
    done
    from dns.pcap
    craft swap-endian "$SOURCE" "$OUT/big-endian.pcap"
    craft timeouts "$SOURCE" "$OUT/timeouts.pcap"
    from nano.pcap
    craft swap-endian "$SOURCE" "$OUT/big-endian-nano.pcap"
    from fragments.pcap
    craft reverse-fragments "$SOURCE" "$OUT/fragments-reversed.pcap"
    from tls-segmented.pcap
    craft swap-hello "$SOURCE" "$OUT/tls-reordered.pcap"
    # Files of three link types in one, which only pcapng can hold.
    local files=() name
    for name in sll2 raw nano; do
        from "$name.pcap"
        files+=("$SOURCE")
    done
    mergecap -F pcapng -w "$WORK/merged.pcapng" "${files[@]}"
    craft plain-section "$WORK/merged.pcapng" "$OUT/merged.pcapng"
}
theme_malformed() {
    local name
    mkdir -p "$OUT/malformed"
    record snaplen96.pcap wire 'not arp' -s 96 -- web_and_names
    mv "$OUT/snaplen96.pcap" "$OUT/malformed/snaplen96.pcap"
    local files=()
    for name in demo vlan mpls gre pppoe trill ipip fragments sctp udp; do
        from "$name.pcap"
        files+=("$SOURCE")
    done
    craft malformed "$OUT/malformed" "${files[@]}"
    from dns.pcapng
    head -c 700 "$SOURCE" > "$OUT/malformed/truncated.pcapng"
}
theme_facts() {
    publish
    python3 "$HERE/facts.py" "$HERE"
}

# Only now do the finished captures replace the old ones.
publish() {
    mkdir -p "$HERE/malformed"
    local file
    for file in "$OUT"/*.pcap "$OUT"/*.pcapng; do
        [ ! -e "$file" ] || install -m 644 "$file" "$HERE/"
    done
    for file in "$OUT"/malformed/*; do
        [ ! -e "$file" ] || install -m 644 "$file" "$HERE/malformed/"
    done
}

make_network
start_servers
for theme in "${CHOSEN[@]}"; do
    say "$theme"
    "theme_$theme"
done
publish
if [ ${#SKIPPED[@]} -gt 0 ]; then
    say "Skipped:"
    printf '  %s\n' "${SKIPPED[@]}"
fi
say "Done. Captures are in $HERE"
