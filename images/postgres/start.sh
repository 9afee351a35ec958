#!/bin/sh
# Make the database in PGDATA at the first start, then become the server. Variables and folders are those of postgres:18.
set -eu
: "${PGDATA:?wanted the folder of the data}" "${POSTGRES_USER:?wanted a user}" "${POSTGRES_PASSWORD:?wanted a password}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # Aside, then renamed: a start that is cut short begins anew.
  new="$PGDATA.new"
  rm -rf "$new"
  (umask 077; printf '%s' "$POSTGRES_PASSWORD" > /tmp/password)
  initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 \
    --encoding=UTF8 --locale=C.UTF-8 "$new"
  rm /tmp/password
  printf 'host all all all scram-sha-256\n' >> "$new/pg_hba.conf"
  export PGHOST=/tmp
  pg_ctl --pgdata="$new" --wait --options="-c listen_addresses='' -c unix_socket_directories=/tmp" start
  for script in /docker-entrypoint-initdb.d/*.sh; do
    if [ -f "$script" ]; then sh "$script"; fi
  done
  pg_ctl --pgdata="$new" --wait --mode=fast stop
  rm -rf "$PGDATA"
  mv "$new" "$PGDATA"
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
