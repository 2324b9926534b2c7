# Starts zebra and bgpd in the container, bgpd in the foreground. No watchfrr: when bgpd ends, the container ends.
set -eu
mkdir -p /run/frr
chown frr:frr /run/frr
/usr/lib/frr/zebra -u frr -g frr -P 0 --vty_socket /run/frr -z /run/frr/zserv.api -i /run/frr/zebra.pid -f /dev/null -d
exec /usr/lib/frr/bgpd -u frr -g frr -P 0 --vty_socket /run/frr -z /run/frr/zserv.api -i /run/frr/bgpd.pid \
  -f /conf/bgpd.conf
