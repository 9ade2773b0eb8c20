#!/bin/bash
# The entry point of the test images. It keeps the contract of the official postgres image as far as tests
# rely on it: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS, PGDATA,
# POSTGRES_HOST_AUTH_METHOD, scripts in /docker-entrypoint-initdb.d; a temporary server on the unix socket
# does the set-up, so that the ready line comes twice; then a server on all addresses.
set -euo pipefail

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ "${1:-}" = "" ] || [ "${1:0:1}" = - ]; then
  set -- postgres "$@"
fi
if [ "$1" != postgres ]; then
  exec "$@"
fi

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups /bin/bash "${BASH_SOURCE[0]}" "$@"
fi

# The cluster that the image was built with serves when nothing about it was asked to differ.
make_cluster() {
  if [ "$user" = postgres ] && [ -z "${POSTGRES_INITDB_ARGS:-}" ]; then
    cp -a /var/lib/postgresql/initialised/. "$PGDATA/"
    return
  fi
  # shellcheck disable=SC2086 # the arguments are a list
  initdb --no-sync --username="$user" --encoding=UTF8 --auth-local=trust --auth-host=scram-sha-256 \
    --pgdata="$PGDATA" ${POSTGRES_INITDB_ARGS:-}
}

set_up() {
  local script
  pg_ctl -D "$PGDATA" -w -s -o "-c listen_addresses='' -c fsync=off -c logging_collector=off" start
  psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "$user")
  if [ -n "${POSTGRES_PASSWORD:-}" ]; then
    "${psql[@]}" -d postgres -v user="$user" -v password="$POSTGRES_PASSWORD" <<<"ALTER ROLE :\"user\" PASSWORD :'password';"
  fi
  if [ "$database" != postgres ]; then
    "${psql[@]}" -d postgres -v db="$database" <<<'CREATE DATABASE :"db";'
  fi
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh) . "$script" ;;
      *.sql) "${psql[@]}" -d "$database" -f "$script" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -w -s -m fast stop
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo "POSTGRES_PASSWORD is not set (or set POSTGRES_HOST_AUTH_METHOD=trust)" >&2
    exit 1
  fi
  make_cluster
  echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  set_up
fi

exec "$@"
