#!/bin/sh
# Runs once, while the image is built: puts PostgreSQL's programs on the path, and initialises a
# cluster that every container then copies instead of waiting for initdb.
set -eu

# Debian's package has made a cluster of its own.
rm -rf /var/lib/postgresql/*/main /etc/postgresql/*/main /var/log/postgresql/*

bin=$(echo /usr/lib/postgresql/*/bin)
for program in "$bin"/*; do
  ln -sf "$program" /usr/local/bin/
done

install -d -o postgres -g postgres -m 0755 /var/run/postgresql
install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data /var/lib/postgresql/initialised
mkdir -p /docker-entrypoint-initdb.d
setpriv --reuid=postgres --regid=postgres --init-groups \
  "$bin/initdb" --no-sync --username=postgres --encoding=UTF8 --auth-local=trust --auth-host=scram-sha-256 \
  --pgdata=/var/lib/postgresql/initialised >/dev/null
