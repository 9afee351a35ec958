#!/bin/sh
# Runs once, on an empty volume: a database and an owner for each who needs one.
set -eu
for name in ledger mlflow; do
  password=$(cat "/etc/turnout/postgres/$name")
  psql --username="$POSTGRES_USER" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=name="$name" --set=password="$password" --dbname=postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
