"""PostgreSQL: the connections, the tables, the migrations, and the server that is started when there is none."""
