#!/bin/sh
# Allows wal2json beside the built-in output plugins, on servers that ask for it (see the Dockerfile beside this file).
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
select exists (select from pg_settings where name = 'output_plugin_libraries') as asked \gset
\if :asked
  alter system set output_plugin_libraries = 'pgoutput', 'test_decoding', 'wal2json';
  select pg_reload_conf();
\endif
SQL
