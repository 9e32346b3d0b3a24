-- The roles stay: other databases of the cluster may use them.
drop function orders_backlog;
drop function lease_orders;
drop function append_all;
drop function append;
drop function event_hash;
drop function framed;
drop table file_claims, files, idempotency, keys, tenant_keys, orders, applications, events;
drop function refuse_change;
revoke select on alembic_version from kyc_app, kyc_system;
