-- Three roles that nobody logs in as. The owner of the tables is bound by their policies too (force), so even the
-- append function writes only for the tenant that the session has named.
--   kyc_owner   owns everything below
--   kyc_app     what the API and the effects run as: one tenant at a time
--   kyc_system  what crosses tenants: leasing orders, rebuilding, auditing, relaying
do $$
declare wanted text;
begin
  foreach wanted in array array['kyc_owner', 'kyc_app', 'kyc_system'] loop
    begin
      if not exists (select from pg_roles where rolname = wanted) then
        execute format('create role %I nologin', wanted);
      end if;
    exception when duplicate_object or unique_violation then
      null;  -- another database of this cluster is being migrated at the same moment
    end;
    -- Who made a role may grant it, but since PostgreSQL 16 may not take it on without being granted it too.
    if not (select rolsuper from pg_roles where rolname = current_user) then
      begin
        execute format('grant %I to current_user', wanted);
      exception when insufficient_privilege then
        if not pg_has_role(current_user, wanted, 'member') then
          raise;
        end if;
      end;
    end if;
  end loop;
end $$;

do $$ begin
  execute format('grant usage, create on schema %I to kyc_owner, kyc_system', current_schema());
  execute format('grant usage on schema %I to kyc_app', current_schema());
end $$;

-- ── the log ──────────────────────────────────────────────────────────────────────
create table events (
  position  bigint generated always as identity,
  tenant    text        not null,
  stream    uuid        not null,
  version   integer     not null check (version > 0),
  id        uuid        not null,
  type      text        not null,
  schema    smallint    not null,
  at        timestamptz not null,
  data      jsonb       not null,
  sealed    bytea,
  meta      jsonb       not null,
  hash      bytea       not null check (length(hash) = 32),
  primary key (stream, version)
);
create unique index events_position on events (position);

-- ── snapshot and read model ──────────────────────────────────────────────────────
create table applications (
  tenant      text        not null,
  id          uuid        not null,
  version     integer     not null,
  status      text        not null,
  user_id     uuid        not null,
  email_index bytea,
  created_at  timestamptz not null,
  updated_at  timestamptz not null,
  state       jsonb       not null,
  sealed      bytea,
  hash        bytea       not null,
  primary key (tenant, id)
);
create index applications_by_time on applications (tenant, created_at, id);
create index applications_by_status on applications (tenant, status, created_at, id);
create index applications_by_user on applications (tenant, user_id, created_at, id);
create index applications_by_email on applications (tenant, email_index) where email_index is not null;

-- ── durable work ─────────────────────────────────────────────────────────────────
-- due_at is the moment at which a worker may take the order: a lease moves it to the lease's end.
create table orders (
  tenant       text        not null,
  id           uuid        not null,
  stream       uuid        not null,
  kind         text        not null,
  payload      jsonb       not null,
  created_at   timestamptz not null,
  due_at       timestamptz not null,
  leased_until timestamptz,
  lease        bigint      not null default 0,
  attempts     integer     not null default 0,
  failures     integer     not null default 0,
  last_error   text,
  done_at      timestamptz,
  dead_at      timestamptz,
  primary key (tenant, id)
);
create index orders_due on orders (due_at) where done_at is null and dead_at is null;

-- ── keys ─────────────────────────────────────────────────────────────────────────
create table tenant_keys (
  tenant       text        not null,
  version      integer     not null,
  root         integer     not null,
  wrapped      bytea,
  created_at   timestamptz not null,
  destroyed_at timestamptz,
  primary key (tenant, version),
  check ((wrapped is null) = (destroyed_at is not null))
);
create table keys (
  tenant         text        not null,
  id             uuid        not null,
  subject        uuid        not null,
  class          text        not null,
  generation     integer     not null,
  kek_version    integer     not null,
  wrapped        bytea,
  created_at     timestamptz not null,
  destroyed_at   timestamptz,
  destroy_reason text,
  primary key (tenant, id),
  unique (tenant, subject, class, generation),
  check ((wrapped is null) = (destroyed_at is not null))
);

-- ── requests that were answered ──────────────────────────────────────────────────
create table idempotency (
  tenant      text        not null,
  client      text        not null,
  key         text        not null,
  fingerprint bytea       not null,
  subject     uuid        not null,
  entry       uuid        not null,
  response    bytea       not null,
  expires_at  timestamptz not null,
  primary key (tenant, client, key)
);
create index idempotency_expiry on idempotency using brin (expires_at);

-- ── uploaded files ───────────────────────────────────────────────────────────────
create table files (
  tenant     text        not null,
  id         uuid        not null,
  client     text        not null,
  media_type text        not null,
  size       bigint      not null,
  path       text        not null,
  sealed     bytea       not null,
  created_at timestamptz not null,
  primary key (tenant, id)
);
create table file_claims (
  tenant      text not null,
  file        uuid not null,
  application uuid not null,
  primary key (tenant, file, application),
  foreign key (tenant, file) references files (tenant, id)
);
create index file_claims_of_application on file_claims (tenant, application);

-- ── the wall: history cannot be changed ──────────────────────────────────────────
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the event log is append-only' using errcode = 'KY003';
end $$;
create trigger events_are_never_changed before update or delete on events
  for each row execute function refuse_change();
create trigger events_are_never_truncated before truncate on events
  for each statement execute function refuse_change();

-- ── the append ───────────────────────────────────────────────────────────────────
-- length-prefixed, so that no two different rows give the same bytes
create function framed(bytea) returns bytea language sql immutable strict parallel safe
return int4send(length($1)) || $1;

create function event_hash(
  previous bytea, tenant text, stream uuid, version integer, id uuid, type text, schema smallint, at timestamptz,
  data jsonb, sealed bytea, meta jsonb
) returns bytea language sql immutable parallel safe
return sha256(
  'kyc/event/v1'::bytea || coalesce(previous, '\x'::bytea) || framed(convert_to(tenant, 'UTF8')) || uuid_send(stream)
  || int4send(version) || uuid_send(id) || framed(convert_to(type, 'UTF8')) || int2send(schema) || timestamptz_send(at)
  || framed(convert_to(data::text, 'UTF8'))
  || case when sealed is null then '\x00'::bytea else '\x01'::bytea || framed(sealed) end
  || framed(convert_to(meta::text, 'UTF8'))
);

-- One command's whole effect, or nothing. Errors: KY001 (or a primary key violation: an exception block would cost a
-- subtransaction) another writer was first, KY002 the lease on the order is lost,
-- KY004 the request was answered before, KY005 the person's key was made by somebody else a moment ago.
--
-- The change comes as one document: building it costs the caller a fifth of what thirty typed parameters cost.
--   {meta, events: [{id, type, schema, data, sealed}], status, user, email, state, sealed,
--    orders: [{id, kind, payload, due}], files: [id], finished: {id, lease} | absent,
--    key: {id, class, generation, kek_version, wrapped} | absent,
--    answer: {client, key, fingerprint, entry, response, expires} | absent}      bytes are hexadecimal
create function append(p_tenant text, p_stream uuid, p_expected integer, p_at timestamptz, p_change jsonb)
returns void language plpgsql security definer set search_path from current as $$
declare
  answer   constant jsonb := p_change -> 'answer';
  new_key  constant jsonb := p_change -> 'key';
  finished constant jsonb := p_change -> 'finished';
  subject  constant uuid  := (p_change ->> 'user')::uuid;
  meta     constant jsonb := p_change -> 'meta';
  reached  integer := p_expected;
  last     bytea;
  event    jsonb;
begin
  if answer is not null then
    insert into idempotency as known (tenant, client, key, fingerprint, subject, entry, response, expires_at)
      values (p_tenant, answer ->> 'client', answer ->> 'key', decode(answer ->> 'fingerprint', 'hex'), subject,
              (answer ->> 'entry')::uuid, decode(answer ->> 'response', 'hex'), (answer ->> 'expires')::timestamptz)
      on conflict (tenant, client, key) do update
        set fingerprint = excluded.fingerprint, subject = excluded.subject, entry = excluded.entry,
            response = excluded.response, expires_at = excluded.expires_at
        where known.expires_at < p_at;
    if not found then
      raise exception 'answered before' using errcode = 'KY004';
    end if;
  end if;
  if new_key is not null then
    insert into keys (tenant, id, subject, class, generation, kek_version, wrapped, created_at)
      values (p_tenant, (new_key ->> 'id')::uuid, subject, new_key ->> 'class', (new_key ->> 'generation')::integer,
              (new_key ->> 'kek_version')::integer, decode(new_key ->> 'wrapped', 'hex'), p_at)
      on conflict do nothing;
    if not found then
      raise exception 'key exists' using errcode = 'KY005';
    end if;
  end if;
  if finished is not null then
    update orders set done_at = p_at, leased_until = null
      where tenant = p_tenant and id = (finished ->> 'id')::uuid and lease = (finished ->> 'lease')::bigint
        and done_at is null;
    if not found then
      raise exception 'lease lost' using errcode = 'KY002';
    end if;
  end if;
  if p_expected > 0 then
    select hash into last from applications
      where tenant = p_tenant and id = p_stream and version = p_expected for update;
    if not found then
      raise exception 'expected version %', p_expected using errcode = 'KY001';
    end if;
  end if;
  for event in select * from jsonb_array_elements(p_change -> 'events') loop
    reached := reached + 1;
    insert into events (tenant, stream, version, id, type, schema, at, data, sealed, meta, hash)
      select p_tenant, p_stream, reached, e.id, e.type, e.schema, p_at, e.data, e.sealed, meta,
             event_hash(last, p_tenant, p_stream, reached, e.id, e.type, e.schema, p_at, e.data, e.sealed, meta)
      from (select (event ->> 'id')::uuid, event ->> 'type', (event ->> 'schema')::smallint, event -> 'data',
                   decode(event ->> 'sealed', 'hex')) as e (id, type, schema, data, sealed)
      returning hash into last;
  end loop;
  if p_expected = 0 then
    insert into applications (tenant, id, version, status, user_id, email_index, created_at, updated_at, state, sealed,
                              hash)
      values (p_tenant, p_stream, reached, p_change ->> 'status', subject, decode(p_change ->> 'email', 'hex'), p_at,
              p_at, p_change -> 'state', decode(p_change ->> 'sealed', 'hex'), last);
  else
    update applications
      set version = reached, status = p_change ->> 'status', updated_at = p_at, state = p_change -> 'state',
          sealed = decode(p_change ->> 'sealed', 'hex'), hash = last,
          email_index = coalesce(decode(p_change ->> 'email', 'hex'), email_index)
      where tenant = p_tenant and id = p_stream;
  end if;
  if jsonb_array_length(p_change -> 'orders') > 0 then
    insert into orders (tenant, id, stream, kind, payload, created_at, due_at)
      -- what is due at once is due by the database's own clock, whatever the clock of the caller says
      select p_tenant, o.id, p_stream, o.kind, o.payload, p_at, case when o.due = p_at then clock_timestamp() else o.due end
      from jsonb_to_recordset(p_change -> 'orders') as o (id uuid, kind text, payload jsonb, due timestamptz)
      on conflict do nothing;
  end if;
  if jsonb_array_length(p_change -> 'files') > 0 then
    insert into file_claims (tenant, file, application)
      select p_tenant, file::uuid, p_stream from jsonb_array_elements_text(p_change -> 'files') as file
      on conflict do nothing;
  end if;
end $$;

-- Several changes in one statement and one commit. The tenant is named change by change, for this transaction only.
create function append_all(p_changes jsonb) returns void language plpgsql set search_path from current as $$
declare
  change jsonb;
begin
  for change in select * from jsonb_array_elements(p_changes) loop
    perform set_config('kyc.tenant', change ->> 'tenant', true);
    perform append(change ->> 'tenant', (change ->> 'stream')::uuid, (change ->> 'expected')::integer,
                   (change ->> 'at')::timestamptz, change);
  end loop;
end $$;

-- ── the lease ────────────────────────────────────────────────────────────────────
-- Crosses tenants, so it runs as kyc_system; everything that the order then does runs for its tenant alone.
create function lease_orders(p_limit integer, p_seconds double precision)
returns setof orders language sql security definer set search_path from current as $$
  update orders o
    set due_at = clock_timestamp() + p_seconds * interval '1 second',
        leased_until = clock_timestamp() + p_seconds * interval '1 second',
        lease = o.lease + 1,
        attempts = o.attempts + 1
  from (
    select tenant, id from orders
    where done_at is null and dead_at is null and due_at <= clock_timestamp()
    order by due_at
    limit p_limit
    for update skip locked
  ) due
  where o.tenant = due.tenant and o.id = due.id
  returning o.*;
$$;

create function orders_backlog(out open bigint, out oldest_due timestamptz, out dead bigint)
language sql stable security definer set search_path from current as $$
  select count(*) filter (where dead_at is null and due_at <= clock_timestamp()),
         min(due_at) filter (where dead_at is null),
         count(*) filter (where dead_at is not null)
  from orders where done_at is null;
$$;

-- ── who may do what ──────────────────────────────────────────────────────────────
do $$
declare name text;
begin
  foreach name in array array['events', 'applications', 'orders', 'tenant_keys', 'keys', 'idempotency', 'files',
                              'file_claims'] loop
    execute format('alter table %I enable row level security, force row level security', name);
    execute format($p$create policy one_tenant on %I to kyc_owner, kyc_app
      using (tenant = current_setting('kyc.tenant', true))
      with check (tenant = current_setting('kyc.tenant', true))$p$, name);
    execute format('create policy every_tenant on %I to kyc_system using (true) with check (true)', name);
    execute format('grant select on %I to kyc_app, kyc_system', name);
    execute format('alter table %I owner to kyc_owner', name);
  end loop;
end $$;
alter function append owner to kyc_owner;
alter function lease_orders owner to kyc_system;
alter function orders_backlog owner to kyc_system;
grant update on orders to kyc_app, kyc_system;
grant insert, update on keys, tenant_keys to kyc_app, kyc_system;
grant insert on files, idempotency to kyc_app;
grant delete on file_claims to kyc_app;
grant update, delete on idempotency to kyc_app, kyc_system;
grant delete on orders to kyc_system;
grant select on alembic_version to kyc_app, kyc_system;
grant insert, update, delete on applications to kyc_system;
revoke all on function append, append_all, lease_orders, orders_backlog from public;
grant execute on function append, append_all, lease_orders, orders_backlog to kyc_app;
do $$ begin execute format('revoke create on schema %I from kyc_owner, kyc_system', current_schema()); end $$;
